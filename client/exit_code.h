// Exit codes of the contract, the same for every command.
#ifndef MIRAGE_CLIENT_EXIT_CODE_H_
#define MIRAGE_CLIENT_EXIT_CODE_H_

namespace mirage::client {

enum ExitCode : int {
  // Done; also when bad rows were dropped, counted and warned of.
  kDone = 0,
  // The gate failed.
  kGateFailed = 1,
  // A flag or a policy is wrong.
  kUsage = 2,
  // The gate is inconclusive.
  kGateInconclusive = 3,
  // Input unreadable (one of several runs: the rest is still printed), output
  // unwritable, sidecar unreachable, internal error.
  kFailed = 4,
};

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_EXIT_CODE_H_
