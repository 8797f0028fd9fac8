// Reads the state of file sinks in a snapshot and writes it again: same_sink_state SNAPSHOT
//
// Prints how many elements of each state there are and how many files they name, or which element
// is not the same bytes again; then it fails.

#include <iostream>
#include <string>

#include "common/snapshot/metadata.h"
#include "common/snapshot/operator_state_stream.h"
#include "connectors/file/file_sink_state.h"

namespace {

using namespace flink;

struct Counts {
  int committers = 0;
  int buckets = 0;
  int pending = 0;
  int in_progress = 0;
  int different = 0;
};

bool IsOfItsTarget(const file::PartFile& part) {
  return part.target_uri == file::FileUri(part.file.target);
}

void Committer(const std::string& element, Counts* counts) {
  const auto read = file::DecodeCommitterState(element);
  if (!read.ok()) std::cout << read.status() << std::endl;
  bool same = read.ok() && file::EncodeCommitterState(*read) == element;
  for (size_t c = 0; same && c < read->size(); ++c) {
    for (const file::SubtaskCommittables& subtask : (*read)[c].by_subtask) {
      for (const file::CommitRequest& request : subtask.requests) {
        if (!request.committable.pending.has_value()) continue;
        ++counts->pending;
        same = same && IsOfItsTarget(*request.committable.pending);
      }
    }
  }
  ++counts->committers;
  counts->different += same ? 0 : 1;
}

void Bucket(const std::string& element, Counts* counts) {
  const auto read = file::DecodeBucketState(element);
  if (!read.ok()) std::cout << read.status() << std::endl;
  bool same = read.ok() && file::EncodeBucketState(*read) == element;
  if (same && read->in_progress.has_value()) {
    ++counts->in_progress;
    same = IsOfItsTarget(*read->in_progress);
  } else if (same) {
    same = *read == file::BucketState{"", read->path, INT64_MAX, std::nullopt};
  }
  ++counts->buckets;
  counts->different += same ? 0 : 1;
}

int Run(const std::string& path) {
  const auto loaded = snapshot::LoadSnapshot(path);
  if (!loaded.ok()) {
    std::cout << loaded.status() << std::endl;
    return 1;
  }
  Counts counts;
  for (const snapshot::OperatorSnapshot& op : loaded->metadata.operators) {
    for (const auto& [index, subtask] : op.subtasks) {
      if (!subtask.managed_operator_state.has_value()) continue;
      const snapshot::OperatorStateHandle& handle = *subtask.managed_operator_state;
      const auto bytes = snapshot::ReadStream(handle.stream, loaded->directory);
      const auto states = bytes.ok()
                              ? snapshot::ReadOperatorStateStream(*bytes, handle)
                              : StatusOr<std::vector<snapshot::OperatorState>>(bytes.status());
      if (!states.ok()) {
        std::cout << states.status() << std::endl;
        return 1;
      }
      for (const snapshot::OperatorState& state : *states) {
        for (const std::string& element : state.elements) {
          if (state.name == file::kCommitterState) Committer(element, &counts);
          if (state.name == file::kWriterState) Bucket(element, &counts);
        }
      }
    }
  }
  std::cout << "committers " << counts.committers << ", buckets " << counts.buckets << ", pending "
            << counts.pending << ", in progress " << counts.in_progress << ", different "
            << counts.different << std::endl;
  return counts.different == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) { return argc == 2 ? Run(argv[1]) : 2; }
