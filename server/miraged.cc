// The sidecar as a process: `miraged [serve] --listen ADDRESS`.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "base/version.h"
#include "server/server.h"

namespace {

// Exit codes of the contract.
constexpr int kUsage = 2;
constexpr int kUnavailable = 4;

// How long open calls may go on after SIGTERM.
constexpr std::chrono::milliseconds kGrace{5000};

}  // namespace

int main(int argc, char** argv) {
  // Debian builds Abseil with its deadlock detector on, which aborts on a cycle
  // that gRPC itself makes.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  CLI::App app{"Mirage's sidecar: metric swaps and emergence diagnostics over gRPC", "miraged"};
  app.set_version_flag("--version", fmt::format("miraged {}", mirage::kVersion));
  app.footer(
      "Examples:\n"
      "  miraged --listen 127.0.0.1:8750\n"
      "  miraged --listen unix:/run/user/1000/mirage.sock\n"
      "  mirage attach OUTPUT --sidecar 127.0.0.1:8750");
  mirage::server::ServerOptions options{.address = "127.0.0.1:0"};
  app.add_option("--listen", options.address,
                 "127.0.0.1:PORT (0 picks a free one), [::1]:PORT or unix:PATH")
      ->capture_default_str();
  // `miraged serve` and plain `miraged` are the same.
  app.add_subcommand("serve", "Serve until SIGTERM or SIGINT")->fallthrough();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (app.exit(error) != 0) return kUsage;
    return std::cout.flush() ? 0 : kUnavailable;
  }

  // Blocked before gRPC starts its threads, so that sigwait below gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto server = mirage::server::Server::Start(options);
  if (!server.ok()) {
    fmt::print(stderr, "miraged: {}\n", std::string(server.status().message()));
    return absl::IsInvalidArgument(server.status()) ? kUsage : kUnavailable;
  }
  const std::string where = (*server)->port() == 0
                                ? options.address
                                : options.address.substr(0, options.address.rfind(':') + 1) +
                                      std::to_string((*server)->port());
  fmt::print("listening on {}\n", where);
  std::fflush(stdout);
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  (*server)->Shutdown(kGrace);
  return 0;
}
