#include "common/snapshot/heap_state.h"

#include <algorithm>
#include <utility>

#include "common/snapshot/keyed_state_rows.h"
#include "common/snapshot/snappy_frames.h"
#include "common/snapshot/value_format.h"

namespace flink::snapshot {
namespace {

/// In front of raw timers, whose version comes next.
constexpr uint32_t kRawTimersMagic = 0xF1CD859F;
constexpr int32_t kRawTimersVersion = 2;

/// The end of the group that begins at `offset`: the next one, or the end of the stream.
int64_t EndOf(const std::vector<int64_t>& sorted_offsets, int64_t offset, size_t stream_size) {
  const auto next = std::upper_bound(sorted_offsets.begin(), sorted_offsets.end(), offset);
  return next == sorted_offsets.end() ? static_cast<int64_t>(stream_size) : *next;
}

std::vector<int64_t> Sorted(std::vector<int64_t> offsets) {
  std::sort(offsets.begin(), offsets.end());
  return offsets;
}

StatusOr<std::string_view> GroupAt(std::string_view stream, int64_t offset, int64_t end) {
  const auto size = static_cast<int64_t>(stream.size());
  if (offset < 0 || offset > end || end > size) {
    return DataLoss("a key group from {} to {} does not lie in the stream of {} bytes", offset, end,
                    size);
  }
  return stream.substr(static_cast<size_t>(offset), static_cast<size_t>(end - offset));
}

/// How the entries of one state are written.
class EntryFormat {
 public:
  static StatusOr<EntryFormat> Of(const StateMetaInfo& info, std::string_view key_serializer) {
    EntryFormat format;
    if (info.kind == StateKind::kPriorityQueue) {
      RETURN_IF_ERROR(format.Add(info.Serializer(kValueSerializerKey)));
      return format;
    }
    if (info.kind != StateKind::kKeyValue) {
      return FailedPrecondition("the state \"{}\" is of a kind that is not known", info.name);
    }
    RETURN_IF_ERROR(format.Add(info.Serializer(kNamespaceSerializerKey)));
    RETURN_IF_ERROR(format.Add(key_serializer));
    RETURN_IF_ERROR(format.Add(info.Serializer(kValueSerializerKey)));
    format.is_map_ = info.Option(kKeyedStateTypeOption) == "MAP";
    return format;
  }

  /// Reads over one entry; the result is the number of its rows.
  StatusOr<int64_t> Skip(JavaReader& in) const {
    for (size_t i = 0; i + 1 < parts_.size(); ++i) RETURN_IF_ERROR(parts_[i].Skip(in));
    int64_t rows = 1;
    if (is_map_) {
      JavaReader map = in;
      ASSIGN_OR_RETURN(rows, map.ReadCount("size of a map", 1));
    }
    RETURN_IF_ERROR(parts_.back().Skip(in));
    return rows;
  }

 private:
  Status Add(std::string_view serializer) {
    ASSIGN_OR_RETURN(ValueFormat part, ValueFormat::Of(serializer));
    parts_.push_back(std::move(part));
    return OkStatus();
  }

  std::vector<ValueFormat> parts_;
  bool is_map_ = false;
};

class HeapCounter {
 public:
  explicit HeapCounter(const KeyedStateHeader& header) : header_(header) {
    counts_.states.resize(header.states.size());
    for (const StateMetaInfo& info : header.states) {
      formats_.push_back(EntryFormat::Of(info, header.key_serializer));
    }
  }

  /// `group`: what stands behind the number of the key group.
  Status AddGroup(JavaReader& group) {
    std::vector<bool> seen(header_.states.size());
    for (size_t nth = 0; nth < seen.size(); ++nth) {
      const size_t at = group.offset();
      ASSIGN_OR_RETURN(const uint16_t id, group.ReadU16("state id"));
      if (id >= seen.size() || seen[id]) {
        return group.Error(at, "expected the id of another one of {} states, found {}", seen.size(),
                           id);
      }
      seen[id] = true;
      ASSIGN_OR_RETURN(const int32_t count, group.ReadCount("number of entries", 1));
      if (count == 0) continue;
      const Status counted = AddEntries(id, count, group);
      if (counted.ok()) continue;
      if (counted.code() != absl::StatusCode::kFailedPrecondition) {
        return With(counted, "state \"{}\"", header_.states[id].name);
      }
      const bool is_last = nth + 1 == seen.size();
      Lose(id, count, counted, is_last ? std::nullopt : std::optional(seen));
      return OkStatus();
    }
    return group.ExpectEnd("a key group");
  }

  HeapStateCounts Take() { return std::move(counts_); }

 private:
  Status AddEntries(size_t id, int32_t count, JavaReader& group) {
    const StatusOr<EntryFormat>& format = formats_[id];
    RETURN_IF_ERROR(format.status());
    const size_t begin = group.offset();
    int64_t rows = 0;
    for (int32_t i = 0; i < count; ++i) {
      ASSIGN_OR_RETURN(const int64_t more, format->Skip(group));
      rows += more;
    }
    HeapStateCount& state = counts_.states[id];
    if (state.entries) *state.entries += rows;
    if (state.bytes) *state.bytes += static_cast<int64_t>(group.offset() - begin);
    return OkStatus();
  }

  /// The entries of a state cannot be told apart, so that the states behind it, those that `seen`
  /// does not have, cannot be found. A map does not even say its rows.
  void Lose(size_t id, int32_t count, const Status& why,
            const std::optional<std::vector<bool>>& seen) {
    const StateMetaInfo& info = header_.states[id];
    HeapStateCount& state = counts_.states[id];
    if (info.Option(kKeyedStateTypeOption) == "MAP") {
      state.entries.reset();
    } else if (state.entries) {
      *state.entries += count;
    }
    state.bytes.reset();
    if (counts_.reason.empty()) {
      counts_.reason =
          fmt::format("{}, so the bytes of the state \"{}\" are unknown", Message(why), info.name);
    }
    if (!seen) return;
    bool hides = false;
    for (size_t other = 0; other < seen->size(); ++other) {
      if ((*seen)[other]) continue;
      counts_.states[other] = {std::nullopt, std::nullopt};
      hides = true;
    }
    if (hides && !says_hidden_) counts_.reason += ", and the states behind it";
    says_hidden_ = says_hidden_ || hides;
  }

  const KeyedStateHeader& header_;
  std::vector<StatusOr<EntryFormat>> formats_;
  HeapStateCounts counts_;
  bool says_hidden_ = false;
};

Status AddTimers(JavaReader& in, const ValueFormat& key, const ValueFormat& name_space,
                 int64_t* timers, int64_t* bytes) {
  ASSIGN_OR_RETURN(const int32_t count, in.ReadCount("number of timers", 8));
  const size_t begin = in.offset();
  for (int32_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(key.Skip(in));
    RETURN_IF_ERROR(name_space.Skip(in));
    RETURN_IF_ERROR(in.ReadI64("time of a timer").status());
  }
  *timers += count;
  *bytes += static_cast<int64_t>(in.offset() - begin);
  return OkStatus();
}

Status AddServices(JavaReader& in, std::vector<RawTimers>* all) {
  const StatusOr<int32_t> magic = in.ReadI32("magic number of raw timers");
  const StatusOr<int32_t> version = in.ReadI32("version of raw timers");
  if (!magic.ok() || static_cast<uint32_t>(*magic) != kRawTimersMagic || !version.ok() ||
      *version != kRawTimersVersion) {
    return FailedPrecondition("the raw state holds no timers of a known form");
  }
  ASSIGN_OR_RETURN(const int32_t services, in.ReadCount("number of timer services", 2));
  for (int32_t i = 0; i < services; ++i) {
    RawTimers own;
    ASSIGN_OR_RETURN(own.service, in.ReadUtf("name of a timer service"));
    ASSIGN_OR_RETURN(own.key_serializer, ReadSerializerSnapshot(in));
    ASSIGN_OR_RETURN(own.namespace_serializer, ReadSerializerSnapshot(in));
    ASSIGN_OR_RETURN(const ValueFormat key, ValueFormat::Of(own.key_serializer));
    ASSIGN_OR_RETURN(const ValueFormat name_space, ValueFormat::Of(own.namespace_serializer));
    auto known = std::find_if(all->begin(), all->end(),
                              [&](const RawTimers& other) { return other.service == own.service; });
    if (known == all->end()) known = all->insert(known, std::move(own));
    RETURN_IF_ERROR(AddTimers(in, key, name_space, &known->event_timers, &known->event_bytes));
    RETURN_IF_ERROR(
        AddTimers(in, key, name_space, &known->processing_timers, &known->processing_bytes));
  }
  // The operator may go on with raw state of its own.
  return in.remaining() == 0 ? OkStatus()
                             : FailedPrecondition("the raw state does not end with its timers");
}

}  // namespace

bool HoldsRows(const KeyGroupsHandle& handle, const KeyedStateHeader& header,
               std::string_view stream) {
  if (handle.kind == KeyGroupsHandle::Kind::kSavepoint) return true;
  // A group on the heap begins with its number. Rows begin with the id of a state and the length
  // of a key, which together can be the number of group 0 and hardly that of any other.
  size_t numbered = 0;
  for (size_t i = 0; i < handle.offsets.size(); ++i) {
    const int64_t offset = handle.offsets[i];
    if (offset <= 0 || offset > static_cast<int64_t>(stream.size())) continue;
    JavaReader group(stream.substr(static_cast<size_t>(offset)));
    const StatusOr<int32_t> number = group.ReadI32("number of a key group");
    if (number.ok() && *number == handle.start_key_group + static_cast<int64_t>(i)) ++numbered;
  }
  if (2 * numbered <= handle.offsets.size()) return true;
  if (handle.offsets.size() > 1 || handle.start_key_group != 0) return false;
  return ForEachRow(header, stream, handle.offsets[0], static_cast<int64_t>(stream.size()),
                    [](int, std::string_view, std::string_view) { return OkStatus(); })
      .ok();
}

StatusOr<HeapStateCounts> CountHeapState(const KeyGroupsHandle& handle,
                                         const KeyedStateHeader& header, std::string_view stream) {
  HeapCounter counter(header);
  const std::vector<int64_t> offsets = Sorted(handle.offsets);
  int32_t number = handle.start_key_group;
  for (const int64_t offset : handle.offsets) {
    const auto add = [&]() -> Status {
      ASSIGN_OR_RETURN(const std::string_view group,
                       GroupAt(stream, offset, EndOf(offsets, offset, stream.size())));
      const auto at = static_cast<size_t>(offset);
      JavaReader in(group, at);
      RETURN_IF_ERROR(in.ExpectI32(number, "number of a key group"));
      if (!header.compressed) return counter.AddGroup(in);
      // The states are framed one by one; together they are frames again.
      ASSIGN_OR_RETURN(const std::string plain, DecompressFrames(group.substr(4), at + 4));
      JavaReader states(plain);
      return counter.AddGroup(states);
    };
    RETURN_IF_ERROR(With(add(), "key group {}", number));
    ++number;
  }
  return counter.Take();
}

StatusOr<std::vector<RawTimers>> CountRawTimers(const KeyGroupsHandle& handle,
                                                std::string_view stream) {
  std::vector<RawTimers> all;
  const std::vector<int64_t> offsets = Sorted(handle.offsets);
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] >= 0 && offsets[i] == offsets[i - 1]) {
      return DataLoss("two key groups begin at offset {}", offsets[i]);
    }
  }
  int32_t number = handle.start_key_group;
  for (const int64_t offset : handle.offsets) {
    // A group that was not written.
    if (offset >= 0) {
      ASSIGN_OR_RETURN(const std::string_view group,
                       GroupAt(stream, offset, EndOf(offsets, offset, stream.size())));
      JavaReader in(group, static_cast<size_t>(offset));
      RETURN_IF_ERROR(With(AddServices(in, &all), "key group {}", number));
    }
    ++number;
  }
  return all;
}

}  // namespace flink::snapshot
