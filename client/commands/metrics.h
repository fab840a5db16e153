// `mirage metrics`, `mirage metrics show NAME`, `mirage metrics swap NAME`: what metrics and
// statistics there are, what one promises, what to use instead of a sharp one.
#ifndef MIRAGE_CLIENT_COMMANDS_METRICS_H_
#define MIRAGE_CLIENT_COMMANDS_METRICS_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mirage::client {

struct MetricsOptions {
  enum class Action : uint8_t { kList, kShow, kSwap };
  Action action = Action::kList;
  // The metric or statistic to show, the metric to swap.
  std::string name;
  // For a swap: what the run recorded, as "choices" (NeedsFlags); empty for everything.
  std::vector<std::string> recorded;
  // "table", "json" or "markdown".
  std::string output_format = "table";
  // Instead of standard output; empty for none.
  std::string output;
  // Address of the sidecar; empty when it is this process's own.
  std::string sidecar;
};

// Runs the command and returns its exit code (exit_code.h): kUsage for a name that is none, with
// the nearest on standard error; kFailed where the sidecar or the output fails. The answer goes
// to standard output or `options.output`, whole or not at all.
int RunMetrics(const MetricsOptions& options, const std::shared_ptr<grpc::Channel>& channel);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_COMMANDS_METRICS_H_
