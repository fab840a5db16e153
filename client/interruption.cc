#include "client/interruption.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "client/output_file.h"

namespace mirage::client {
namespace {

// Never destroyed: the thread outlives main.
sigset_t taken;

void* WaitAndDie(void* /*unused*/) {
  int number = 0;
  if (::sigwait(&taken, &number) != 0) return nullptr;
  AbandonFiles();
  struct sigaction usual = {};
  usual.sa_handler = SIG_DFL;
  ::sigaction(number, &usual, nullptr);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  ::raise(number);
  // The first process of a container is spared by its own signals.
  ::_exit(128 + number);
}

}  // namespace

void CleanUpWhenInterrupted() {
  sigemptyset(&taken);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction current = {};
    if (::sigaction(number, nullptr, &current) == 0 && current.sa_handler == SIG_IGN) continue;
    sigaddset(&taken, number);
  }
  sigset_t before;
  if (pthread_sigmask(SIG_BLOCK, &taken, &before) != 0) return;
  pthread_t thread;
  if (pthread_create(&thread, nullptr, WaitAndDie, nullptr) == 0) {
    pthread_detach(thread);
  } else {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
}

}  // namespace mirage::client
