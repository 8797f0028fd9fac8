#include "common/snapshot/snapshot_inspection.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "common/io/file_system.h"
#include "common/snapshot/heap_state.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/keyed_state_rows.h"
#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/serializer_snapshot.h"
#include "common/snapshot/snappy_frames.h"
#include "common/snapshot/stream_content.h"

namespace flink::snapshot {
namespace {

bool HasFile(const StreamStateHandle& stream) {
  return std::holds_alternative<FileHandle>(stream) ||
         std::holds_alternative<RelativeFileHandle>(stream) ||
         std::holds_alternative<FileSegmentHandle>(stream);
}

std::string KindOf(const StateMetaInfo& info) {
  if (info.kind == StateKind::kPriorityQueue) return "timers";
  const std::string_view type = info.Option(kKeyedStateTypeOption);
  static const std::map<std::string_view, std::string_view> kNames = {
      {"VALUE", "ValueState"},     {"LIST", "ListState"},
      {"MAP", "MapState"},         {"REDUCING", "ReducingState"},
      {"FOLDING", "FoldingState"}, {"AGGREGATING", "AggregatingState"},
  };
  const auto name = kNames.find(type);
  return std::string(name != kNames.end() ? name->second : "State");
}

std::string KindOf(DistributionMode mode) {
  switch (mode) {
    case DistributionMode::kSplitDistribute:
      return "list (split)";
    case DistributionMode::kUnion:
      return "list (union)";
    case DistributionMode::kBroadcast:
      return "broadcast";
  }
  return "list";
}

/// Adds up what the subtasks of one operator have.
class OperatorInspector {
 public:
  OperatorInspector(const OperatorSnapshot& snapshot, const std::string& directory)
      : snapshot_(snapshot), directory_(directory) {
    op_.id = snapshot.operator_id;
    op_.uid = snapshot.uid;
    op_.name = snapshot.name;
    op_.parallelism = snapshot.parallelism;
    op_.max_parallelism = snapshot.max_parallelism;
    op_.finished = snapshot.fully_finished;
    op_.coordinator_bytes = StreamSize(snapshot.coordinator_state);
    op_.bytes = op_.coordinator_bytes;
  }

  InspectedOperator Inspect(std::set<std::string>* files, bool* damaged) {
    std::set<std::string> own_files;
    for (const auto& [index, state] : snapshot_.subtasks) {
      subtask_ = index;
      op_.bytes += StateSize(state);
      ForEachStream(state, [&](const StreamStateHandle& stream) {
        if (!HasFile(stream)) return;
        const StatusOr<std::string> path = ResolveStreamPath(stream, directory_);
        if (path.ok()) own_files.insert(*path);
      });
      AddKeyed(state.managed_keyed_state);
      const bool known = AddRawTimers(state.raw_keyed_state);
      if (state.managed_operator_state) AddOperatorState(*state.managed_operator_state);
      if (state.raw_operator_state || !known) {
        Note("has raw state, which only its operator can read");
      }
      for (const auto* channels : {&state.input_channel_state, &state.output_channel_state}) {
        for (const ChannelStateHandle& channel : *channels) op_.in_flight_bytes += channel.size;
      }
    }
    op_.files = static_cast<int64_t>(own_files.size());
    files->insert(own_files.begin(), own_files.end());
    *damaged = *damaged || damaged_;
    std::sort(op_.key_groups.begin(), op_.key_groups.end(),
              [](const KeyGroupRange& a, const KeyGroupRange& b) { return a.start < b.start; });
    return std::move(op_);
  }

 private:
  void Note(std::string text) {
    op_.notes.push_back(fmt::format("subtask {} {}", subtask_, std::move(text)));
  }
  void Unreadable(const Status& status) { Note("cannot be looked into: " + Message(status)); }
  /// Null, with a note, when the stream is not there.
  std::optional<StreamContent> Open(const StreamStateHandle& stream) {
    StatusOr<StreamContent> content = OpenStream(stream, directory_);
    if (content.ok()) return *std::move(content);
    damaged_ = true;
    Unreadable(content.status());
    return std::nullopt;
  }

  InspectedState& StateOf(const std::string& name, const std::string& kind) {
    for (InspectedState& state : op_.states) {
      if (state.name == name && state.kind == kind) return state;
    }
    InspectedState& state = op_.states.emplace_back();
    state.name = name;
    state.kind = kind;
    state.entries = 0;
    state.bytes = 0;
    return state;
  }

  InspectedState& StateOf(const StateMetaInfo& info) {
    InspectedState& state = StateOf(info.name, KindOf(info));
    state.type = TypeNameOf(info.Serializer(kValueSerializerKey));
    const std::string_view name_space = info.Serializer(kNamespaceSerializerKey);
    if (!name_space.empty()) {
      state.namespace_type = TypeNameOf(name_space);
      if (state.namespace_type == "VoidNamespace") state.namespace_type.clear();
    }
    return state;
  }

  /// False when there is raw state that is not known.
  bool AddRawTimers(const KeyedStateHandle& handle) {
    if (handle.index() == 0) return true;
    const auto* groups = std::get_if<KeyGroupsHandle>(&handle);
    if (groups == nullptr) return false;
    const std::optional<StreamContent> content = Open(groups->stream);
    if (!content) return true;
    const StatusOr<std::vector<RawTimers>> services = CountRawTimers(*groups, content->bytes);
    if (!services.ok()) {
      if (services.status().code() == absl::StatusCode::kFailedPrecondition) return false;
      damaged_ = true;
      Unreadable(services.status());
      return true;
    }
    for (const RawTimers& service : *services) {
      const std::string type = "Timer<" + TypeNameOf(service.key_serializer) + "," +
                               TypeNameOf(service.namespace_serializer) + ">";
      const auto add = [&](const char* kind, int64_t timers, int64_t bytes) {
        InspectedState& state =
            StateOf(fmt::format("_timer_state/{}_{}", kind, service.service), "timers");
        state.type = type;
        if (!state.entries || !state.bytes) return;
        *state.entries += timers;
        *state.bytes += bytes;
      };
      add("processing", service.processing_timers, service.processing_bytes);
      add("event", service.event_timers, service.event_bytes);
    }
    return true;
  }

  void AddKeyed(const KeyedStateHandle& handle) {
    if (handle.index() == 0) return;
    op_.key_groups.push_back(KeyGroupsOf(handle));
    if (const auto* groups = std::get_if<KeyGroupsHandle>(&handle)) {
      if (groups->kind == KeyGroupsHandle::Kind::kSavepoint) op_.keyed_format = "canonical";
      const std::optional<StreamContent> content = Open(groups->stream);
      if (!content) return;
      size_t size = 0;
      const std::optional<KeyedStateHeader> header = ReadHeader(content->bytes, &size);
      if (!header) return;
      // In memory nothing can fail.
      const bool rows = HoldsRows(*groups, *header, StreamRanges(content->bytes)).value_or(true);
      op_.keyed_format = rows ? "canonical" : "heap";
      rows ? CountRows(*groups, *header, content->bytes)
           : CountHeap(*groups, *header, content->bytes);
    } else if (const auto* files = std::get_if<IncrementalHandle>(&handle)) {
      op_.keyed_format = "RocksDB files";
      const std::optional<StreamContent> content = Open(files->meta);
      if (!content) return;
      size_t size = 0;
      const std::optional<KeyedStateHeader> header = ReadHeader(content->bytes, &size);
      if (header) EntriesUnknown(*header);
    } else {
      op_.keyed_format = "changelog";
      Note("has a changelog, which is not looked into");
    }
  }

  std::optional<KeyedStateHeader> ReadHeader(std::string_view bytes, size_t* size) {
    StatusOr<KeyedStateHeader> header = ParseKeyedStateHeader(bytes, size);
    if (!header.ok()) {
      Unreadable(header.status());
      return std::nullopt;
    }
    op_.key_type = TypeNameOf(header->key_serializer);
    return *std::move(header);
  }

  void EntriesUnknown(const KeyedStateHeader& header) {
    for (const StateMetaInfo& info : header.states) {
      InspectedState& state = StateOf(info);
      state.entries.reset();
      state.bytes.reset();
    }
  }

  void CountRows(const KeyGroupsHandle& handle, const KeyedStateHeader& header,
                 std::string_view bytes) {
    struct Count {
      int64_t entries = 0;
      int64_t bytes = 0;
    };
    std::vector<Count> counts(header.states.size());
    std::vector<int64_t> ends(handle.offsets);
    ends.push_back(static_cast<int64_t>(bytes.size()));
    std::sort(ends.begin(), ends.end());
    Status walked;
    for (size_t i = 0; i < handle.offsets.size() && walked.ok(); ++i) {
      const int64_t end = *std::upper_bound(ends.begin(), ends.end() - 1, handle.offsets[i]);
      walked = ForEachRow(header, bytes, handle.offsets[i], end,
                          [&counts](int id, std::string_view key, std::string_view value) {
                            Count& count = counts[static_cast<size_t>(id)];
                            ++count.entries;
                            count.bytes += static_cast<int64_t>(key.size() + value.size());
                            return OkStatus();
                          });
      if (!walked.ok()) {
        Unreadable(With(walked, "key group {}", handle.start_key_group + static_cast<int>(i)));
      }
    }
    if (!walked.ok()) {
      damaged_ = true;
      EntriesUnknown(header);
      return;
    }
    for (size_t i = 0; i < counts.size(); ++i) {
      InspectedState& state = StateOf(header.states[i]);
      if (!state.entries || !state.bytes) continue;
      *state.entries += counts[i].entries;
      *state.bytes += counts[i].bytes;
    }
  }

  void CountHeap(const KeyGroupsHandle& handle, const KeyedStateHeader& header,
                 std::string_view bytes) {
    const StatusOr<HeapStateCounts> counts = CountHeapState(handle, header, bytes);
    if (!counts.ok()) {
      Unreadable(counts.status());
      damaged_ = true;
      EntriesUnknown(header);
      return;
    }
    if (!counts->reason.empty()) Note("is not counted in full: " + counts->reason);
    const auto add = [](std::optional<int64_t>* sum, std::optional<int64_t> more) {
      *sum = sum->has_value() && more.has_value() ? std::optional(**sum + *more) : std::nullopt;
    };
    for (size_t i = 0; i < header.states.size(); ++i) {
      InspectedState& state = StateOf(header.states[i]);
      add(&state.entries, counts->states[i].entries);
      add(&state.bytes, counts->states[i].bytes);
    }
  }

  void AddOperatorState(const OperatorStateHandle& handle) {
    const std::optional<StreamContent> content = Open(handle.stream);
    if (!content) return;
    const StatusOr<OperatorStateHead> head = ReadOperatorStateHead(content->bytes);
    if (!head.ok()) {
      Unreadable(head.status());
      return;
    }
    std::vector<int64_t> ends = {static_cast<int64_t>(content->bytes.size())};
    for (const OperatorStateOffsets& state : handle.states) {
      ends.insert(ends.end(), state.offsets.begin(), state.offsets.end());
    }
    std::sort(ends.begin(), ends.end());
    for (const OperatorStateOffsets& offsets : handle.states) {
      InspectedState& state = StateOf(offsets.name, KindOf(offsets.mode));
      if (const StateMetaInfo* info = head->Find(offsets.name)) {
        state.type = TypeNameOf(info->Serializer(kValueSerializerKey));
        if (offsets.mode == DistributionMode::kBroadcast) {
          state.type = TypeNameOf(info->Serializer(kKeySerializerKey)) + " -> " + state.type;
        }
      }
      AddElements(offsets, *head, content->bytes, ends, &state);
    }
  }

  /// Every subtask has the whole of a broadcast state: the first one counts.
  void AddElements(const OperatorStateOffsets& offsets, const OperatorStateHead& head,
                   std::string_view bytes, const std::vector<int64_t>& ends,
                   InspectedState* state) {
    const bool broadcast = offsets.mode == DistributionMode::kBroadcast;
    if (!state->entries || !state->bytes || (broadcast && !counted_.insert(offsets.name).second))
      return;
    const auto size = static_cast<int64_t>(bytes.size());
    const auto end_of = [&ends, size](int64_t offset) {
      const auto end = std::upper_bound(ends.begin(), ends.end(), offset);
      return end == ends.end() ? size : *end;
    };
    for (const int64_t offset : offsets.offsets) {
      if (offset < static_cast<int64_t>(head.data_offset) || offset > size) {
        Unreadable(
            DataLoss("state \"{}\" has an element at offset {} of {}", offsets.name, offset, size));
        damaged_ = true;
        return;
      }
      *state->bytes += end_of(offset) - offset;
      if (!broadcast) ++*state->entries;
    }
    if (!broadcast || offsets.offsets.empty()) return;
    const auto begin = static_cast<size_t>(offsets.offsets[0]);
    std::string_view element = bytes.substr(begin);
    std::string plain;
    if (head.compressed) {
      const auto end = static_cast<size_t>(end_of(offsets.offsets[0]));
      StatusOr<std::string> read = DecompressFrames(element.substr(0, end - begin), begin);
      if (!read.ok()) return Unreadable(read.status());
      plain = *std::move(read);
      element = plain;
    }
    JavaReader in(element);
    const StatusOr<int32_t> count = in.ReadCount("number of broadcast entries", 0);
    if (!count.ok()) return Unreadable(count.status());
    *state->entries += *count;
  }

  const OperatorSnapshot& snapshot_;
  const std::string& directory_;
  InspectedOperator op_;
  int subtask_ = 0;
  bool damaged_ = false;
  std::set<std::string> counted_;
};

}  // namespace

StatusOr<Inspection> InspectSnapshot(const std::string& pointer) {
  ASSIGN_OR_RETURN(const LoadedSnapshot loaded, LoadSnapshot(pointer));
  const SideFile side = ReadSideFile(loaded.directory);
  Inspection inspection;
  inspection.summary = Summarize(loaded, side);
  inspection.metadata_version = loaded.metadata.version;
  std::set<std::string> files;
  for (const OperatorSnapshot& snapshot : loaded.metadata.operators) {
    InspectedOperator op =
        OperatorInspector(snapshot, loaded.directory).Inspect(&files, &inspection.damaged);
    const auto named = side.operators.find(op.id);
    if (named != side.operators.end()) {
      op.uid = named->second.uid;
      op.name = named->second.name;
    }
    inspection.operators.push_back(std::move(op));
  }
  inspection.files = static_cast<int64_t>(files.size());
  return inspection;
}

}  // namespace flink::snapshot
