#include "integrations/lm_eval/task_hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <cstdlib>

namespace mirage::integrations::lm_eval {

struct TaskHash::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

namespace {

// SHA-256 is always there; OpenSSL fails only without memory.
void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

TaskHash::TaskHash() : state_(std::make_unique<State>()) {
  Require(state_->context != nullptr &&
          EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}

TaskHash::~TaskHash() = default;

void TaskHash::Add(std::string_view hashes) {
  Require(EVP_DigestUpdate(state_->context, hashes.data(), hashes.size()) == 1);
}

std::string TaskHash::Finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  Require(EVP_DigestFinal_ex(state_->context, digest, &size) == 1);
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace mirage::integrations::lm_eval
