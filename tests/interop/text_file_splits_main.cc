// Reads the state of a text file source, uid "source", from a snapshot of Apache Flink:
// text_file_splits SNAPSHOT. Checks that it is written again byte for byte, and that a split that
// nobody has begun is the one that this system makes of the same file. Prints how many splits
// wait and how many are being read.

#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "common/graph/operator_id.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/operator_state_stream.h"
#include "flink/connector/file_source.h"

namespace {

using flink::TextFileSource;

template <class T>
T Value(flink::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(value.status().ToString());
  return *std::move(value);
}

void CheckSame(const std::string& ours, const std::string& flinks, const std::string& what) {
  if (ours != flinks) throw std::runtime_error(what + " is not what Flink writes");
}

/// Of a split that nobody has begun.
void CheckMadeAlike(const TextFileSource::Split& split) {
  auto made = TextFileSource(split.path).MakeSplits(1);
  made.at(0).id = split.id;
  CheckSame(flink::internal::EncodeSplit<TextFileSource>(made[0]),
            flink::internal::EncodeSplit<TextFileSource>(split), "a new split of " + split.path);
}

class NoReaders final : public flink::SourceCoordinator::Context {
 public:
  int parallelism() const override { return 1; }
  void SendToReader(int /*subtask*/, std::string /*payload*/) override {}
};

/// How many splits wait.
size_t CheckCoordinator(const std::string& bytes) {
  flink::SplitSourceCoordinator<TextFileSource> coordinator(TextFileSource("/unused"));
  NoReaders context;
  coordinator.Start(context, true, bytes);
  CheckSame(coordinator.Snapshot(1), bytes, "the coordinator's state");
  // Behind two versions and a length.
  flink::BufferReader in(std::string_view(bytes).substr(12));
  const auto splits = TextFileSource::ReadEnumerator(in);
  for (const auto& split : splits) CheckMadeAlike(split);
  return splits.size();
}

/// Whether somebody has begun to read it.
bool CheckElement(const std::string& element) {
  flink::BufferReader in(element);
  flink::Bytes bytes;
  flink::TypeSerializer<flink::Bytes>::Read(in, bytes);
  const auto split = flink::internal::DecodeSplit<TextFileSource>(bytes.data);
  CheckSame(flink::internal::EncodeSplit<TextFileSource>(split), bytes.data, "a split being read");
  if (!split.position) CheckMadeAlike(split);
  return split.position.has_value();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    const auto snapshot = Value(flink::snapshot::LoadSnapshot(argv[1]));
    const auto* source = snapshot.metadata.FindOperator(flink::OperatorIdFromUid("source"));
    if (source == nullptr) throw std::runtime_error("there is no source");
    const size_t waiting = CheckCoordinator(
        Value(flink::snapshot::ReadStream(source->coordinator_state, snapshot.directory)));
    size_t begun = 0;
    for (const auto& [index, subtask] : source->subtasks) {
      if (!subtask.managed_operator_state) continue;
      const auto& handle = *subtask.managed_operator_state;
      const std::string stream =
          Value(flink::snapshot::ReadStream(handle.stream, snapshot.directory));
      for (const auto& state : Value(flink::snapshot::ReadOperatorStateStream(stream, handle))) {
        if (state.name != "SourceReaderState") continue;
        for (const std::string& element : state.elements) begun += CheckElement(element) ? 1 : 0;
      }
    }
    std::cout << waiting << " " << begun << std::endl;
  } catch (const std::exception& e) {
    std::cerr << e.what() << std::endl;
    return 1;
  }
  return 0;
}
