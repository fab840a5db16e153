// Streams of samples for tests of whatever serves mirage.v1.IngestService.
#ifndef MIRAGE_TESTS_SUPPORT_INGEST_STREAM_H_
#define MIRAGE_TESTS_SUPPORT_INGEST_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mirage/v1/ingest.grpc.pb.h"
#include "tests/support/sample_batches.h"

namespace mirage::test_support {

// A header of one multiple-choice task "t" that reported acc = 1.
inline v1::IngestRequest Header(const std::string& model) {
  v1::IngestRequest request;
  v1::Run* run = request.mutable_header()->mutable_run();
  run->set_model(model);
  *run->add_tasks() = Task("t", "multiple_choice", {{"acc", 1}}, 1);
  return request;
}

// One right answer to "t".
inline v1::IngestRequest Batch(uint64_t sequence) {
  v1::IngestRequest request;
  request.set_sequence(sequence);
  *request.mutable_batch() = EmptyBatch("t");
  AddChoices(request.mutable_batch(), std::to_string(sequence), {-1, -3}, 0, 1);
  return request;
}

inline v1::IngestRequest Finish(uint64_t n_batches) {
  v1::IngestRequest request;
  request.mutable_finish()->set_n_batches(n_batches);
  return request;
}

// Sends requests one by one and returns the answers and the final status.
inline std::pair<std::vector<v1::IngestResponse>, grpc::Status> Converse(
    const std::shared_ptr<grpc::Channel>& channel, const std::vector<v1::IngestRequest>& requests) {
  auto stub = v1::IngestService::NewStub(channel);
  grpc::ClientContext context;
  auto stream = stub->Ingest(&context);
  std::vector<v1::IngestResponse> answers;
  for (const v1::IngestRequest& request : requests) {
    v1::IngestResponse answer;
    if (!stream->Write(request) || !stream->Read(&answer)) break;
    answers.push_back(std::move(answer));
  }
  stream->WritesDone();
  return {std::move(answers), stream->Finish()};
}

}  // namespace mirage::test_support

#endif  // MIRAGE_TESTS_SUPPORT_INGEST_STREAM_H_
