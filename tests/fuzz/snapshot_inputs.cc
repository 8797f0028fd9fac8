#include "tests/fuzz/snapshot_inputs.h"

#include <algorithm>
#include <string>

#include "common/base/check.h"
#include "common/snapshot/file_list.h"
#include "common/snapshot/heap_state.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/redistribute.h"
#include "common/snapshot/serializer_snapshot.h"
#include "common/snapshot/state_handle.h"
#include "connectors/file/file_sink_state.h"
#include "taskmanager/state/canonical_format.h"

namespace flink::fuzz {
namespace {

/// More than snappy can make of a byte.
constexpr size_t kMaxExpansion = 64;

/// As heap state and as raw timers, whatever the stream is.
void CountOnTheHeap(const snapshot::KeyGroupsHandle& groups, std::string_view stream) {
  const auto limit = static_cast<int64_t>(kMaxExpansion * stream.size());
  const auto timers = snapshot::CountRawTimers(groups, stream);
  const auto some = snapshot::HoldsRawTimers(groups, snapshot::StreamRanges(stream));
  if (timers.ok()) {
    int64_t count = 0;
    for (const auto& service : *timers) {
      const int64_t own = service.event_timers + service.processing_timers;
      FLINK_CHECK(own <= limit, "timers overlap");
      count += own;
    }
    FLINK_CHECK(some.ok() && *some == (count > 0), "whether there are timers is not agreed");
  }
  const auto header = snapshot::ParseKeyedStateHeader(stream);
  if (!header.ok()) return;
  const auto counts = snapshot::CountHeapState(groups, *header, stream);
  if (!counts.ok()) return;
  for (const auto& count : counts->states) {
    FLINK_CHECK(count.entries.value_or(0) >= 0 && count.entries.value_or(0) <= limit,
                "entries overlap");
    FLINK_CHECK(count.bytes.value_or(0) >= 0 && count.bytes.value_or(0) <= limit, "values overlap");
  }
}

/// A subtask's state with its length in two bytes in front, and what follows it: the content of
/// every stream.
void ReadStateAndStream(std::string_view input) {
  if (input.size() < 2) return;
  const size_t size = std::min<size_t>(
      static_cast<unsigned char>(input[0]) << 8 | static_cast<unsigned char>(input[1]),
      input.size() - 2);
  const auto state = snapshot::DecodeSubtaskState(input.substr(2, size));
  if (!state.ok()) return;
  const std::string stream(input.substr(2 + size));
  const auto again = snapshot::DecodeSubtaskState(snapshot::EncodeSubtaskState(*state));
  FLINK_CHECK(again.ok() && *again == *state, "a subtask's state changes when it is written");
  FLINK_CHECK(snapshot::StateSize(*state) >= 0, "a size overflows");
  if (state->managed_operator_state) {
    const auto read = snapshot::ReadOperatorStateStream(stream, *state->managed_operator_state);
    size_t total = 0;
    if (read.ok()) {
      for (const auto& list : *read) {
        for (const std::string& element : list.elements) total += element.size();
      }
    }
    FLINK_CHECK(total <= kMaxExpansion * stream.size(), "elements overlap");
    IgnoreError(read.status(), "refused");
  }
  if (const auto* groups = std::get_if<snapshot::KeyGroupsHandle>(&state->managed_keyed_state)) {
    CountOnTheHeap(*groups, stream);
    snapshot::KeyGroupsHandle handle = *groups;
    handle.stream = snapshot::InlineHandle{"fuzz", stream};
    taskmanager::CanonicalReader reader;
    if (!reader.Open(handle, "/").ok()) return;
    // A few are enough to find what can be found.
    const int last = std::min(handle.range().end, handle.range().start + 7);
    taskmanager::CanonicalReader::Group rows;
    for (int group = handle.range().start; group <= last; ++group) {
      IgnoreError(reader.ReadGroup(group, "", &rows), "refused");
      size_t total = 0;
      for (const auto& row : rows.rows) total += row.key.size() + row.value.size();
      FLINK_CHECK(total <= kMaxExpansion * stream.size(), "rows overlap");
    }
  }
}

/// One element of a file sink's state.
template <class Decode, class Encode>
void ReadSinkState(std::string_view input, Decode&& decode, Encode&& encode) {
  const auto state = decode(input);
  if (!state.ok()) {
    FLINK_CHECK(!Message(state.status()).empty(), "refused without a word");
    return;
  }
  const auto again = decode(encode(*state));
  FLINK_CHECK(again.ok() && *again == *state, "a sink's state changes when it is written");
}

}  // namespace

void ReadMetadata(std::string_view input) {
  const auto metadata = snapshot::ParseMetadata(input);
  if (!metadata.ok()) {
    FLINK_CHECK(!Message(metadata.status()).empty(), "refused without a word");
    return;
  }
  FLINK_CHECK(metadata->StateSize() >= 0, "a size overflows");
  const auto bytes = snapshot::SerializeMetadata(*metadata);
  if (!bytes.ok()) return;  // Channels of version 6 may be merged.
  const auto again = snapshot::ParseMetadata(*bytes);
  FLINK_CHECK(again.ok(), "what was written is refused: {}", Message(again.status()));
  FLINK_CHECK(again->operators.size() == metadata->operators.size() &&
                  again->StateSize() == metadata->StateSize(),
              "metadata changes when it is written");
  for (const auto& op : metadata->operators) {
    for (const auto& [index, state] : op.subtasks) {
      const auto ranges =
          snapshot::KeyedStateForRange(std::vector{state.managed_keyed_state}, {0, 63});
      FLINK_CHECK(ranges.size() <= 1, "a handle is cut into several");
    }
  }
}

void ReadStreams(std::string_view input) {
  if (input.empty()) return;
  const char choice = input.front();
  input.remove_prefix(1);
  switch (choice) {
    case 'h': {
      const auto header = snapshot::ParseKeyedStateHeader(input);
      if (!header.ok()) return;
      const auto bytes = snapshot::SerializeKeyedStateHeader(*header);
      FLINK_CHECK(bytes.ok() && snapshot::ParseKeyedStateHeader(*bytes).ok(),
                  "a header is not read again");
      return;
    }
    case 't': {
      snapshot::JavaReader reader(input);
      IgnoreError(snapshot::ReadSerializerSnapshot(reader).status(), "refused");
      return;
    }
    case 's':
      IgnoreError(snapshot::ParseFileList(input).status(), "refused");
      return;
    case 'c':
      return ReadSinkState(input, file::DecodeCommitterState, file::EncodeCommitterState);
    case 'w':
      return ReadSinkState(input, file::DecodeBucketState, file::EncodeBucketState);
    default:
      ReadStateAndStream(input);
  }
}

}  // namespace flink::fuzz
