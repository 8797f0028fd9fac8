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
/// Of raw state at first: the timers stand behind all that is looked for.
constexpr uint64_t kFirstGroupBytes = 64 << 10;
/// Serializers of some thousand services take less.
constexpr uint64_t kMostGroupBytes = 16 << 20;

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

Status AddTimers(JavaReader& in, const RawTimers& service, int64_t* timers, int64_t* bytes) {
  ASSIGN_OR_RETURN(const int32_t count, in.ReadCount("number of timers", 8));
  if (count == 0) return OkStatus();
  ASSIGN_OR_RETURN(const ValueFormat key, ValueFormat::Of(service.key_serializer));
  ASSIGN_OR_RETURN(const ValueFormat name_space, ValueFormat::Of(service.namespace_serializer));
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

/// The number of services.
StatusOr<int32_t> ReadRawHead(JavaReader& in) {
  const StatusOr<int32_t> magic = in.ReadI32("magic number of raw timers");
  const StatusOr<int32_t> version = in.ReadI32("version of raw timers");
  if (!magic.ok() || static_cast<uint32_t>(*magic) != kRawTimersMagic || !version.ok() ||
      *version != kRawTimersVersion) {
    return FailedPrecondition("the raw state holds no timers of a known form");
  }
  return in.ReadCount("number of timer services", 2);
}

/// What stands in front of the timers of a service.
StatusOr<RawTimers> ReadService(JavaReader& in) {
  RawTimers service;
  ASSIGN_OR_RETURN(service.service, in.ReadUtf("name of a timer service"));
  ASSIGN_OR_RETURN(service.key_serializer, ReadSerializerSnapshot(in));
  ASSIGN_OR_RETURN(service.namespace_serializer, ReadSerializerSnapshot(in));
  return service;
}

/// The operator may go on with raw state of its own.
Status ExpectEndOfTimers(const JavaReader& in) {
  return in.remaining() == 0 ? OkStatus()
                             : FailedPrecondition("the raw state does not end with its timers");
}

Status AddServices(JavaReader& in, std::vector<RawTimers>* all) {
  ASSIGN_OR_RETURN(const int32_t services, ReadRawHead(in));
  for (int32_t i = 0; i < services; ++i) {
    ASSIGN_OR_RETURN(RawTimers own, ReadService(in));
    auto known = std::find_if(all->begin(), all->end(),
                              [&](const RawTimers& other) { return other.service == own.service; });
    if (known == all->end()) known = all->insert(known, own);
    RETURN_IF_ERROR(AddTimers(in, own, &known->event_timers, &known->event_bytes));
    RETURN_IF_ERROR(AddTimers(in, own, &known->processing_timers, &known->processing_bytes));
  }
  return ExpectEndOfTimers(in);
}

/// Whether a key group holds a timer. Of one that does, the rest is not read.
StatusOr<bool> HasTimer(JavaReader& in) {
  ASSIGN_OR_RETURN(const int32_t services, ReadRawHead(in));
  for (int32_t i = 0; i < services; ++i) {
    RETURN_IF_ERROR(ReadService(in).status());
    for (const char* const what : {"number of event timers", "number of processing timers"}) {
      const size_t at = in.offset();
      ASSIGN_OR_RETURN(const int32_t count, in.ReadI32(what));
      if (count < 0) return in.Error(at, "expected the {}, found {}", what, count);
      if (count > 0) return true;
    }
  }
  RETURN_IF_ERROR(ExpectEndOfTimers(in));
  return false;
}

/// What a key group begins with, more of it while that ends too early: damage may look like that.
StatusOr<bool> HasTimer(const StreamRanges& stream, int64_t offset, int64_t end) {
  if (end < offset || end > static_cast<int64_t>(stream.size())) {
    return DataLoss("a key group from {} to {} does not lie in the stream of {} bytes", offset, end,
                    stream.size());
  }
  const auto begin = static_cast<uint64_t>(offset);
  const uint64_t size = static_cast<uint64_t>(end) - begin;
  for (uint64_t wanted = kFirstGroupBytes;; wanted *= 4) {
    const uint64_t length = std::min(wanted, size);
    ASSIGN_OR_RETURN(const std::string bytes, stream.Read(begin, length));
    JavaReader in(bytes, begin);
    StatusOr<bool> timer = HasTimer(in);
    const bool holds = timer.ok() && *timer;
    if (holds || length == size || length >= kMostGroupBytes ||
        timer.status().code() == absl::StatusCode::kFailedPrecondition) {
      return timer;
    }
  }
}

Status ExpectNoneTwice(const std::vector<int64_t>& sorted_offsets) {
  for (size_t i = 1; i < sorted_offsets.size(); ++i) {
    if (sorted_offsets[i] >= 0 && sorted_offsets[i] == sorted_offsets[i - 1]) {
      return DataLoss("two key groups begin at offset {}", sorted_offsets[i]);
    }
  }
  return OkStatus();
}

StatusOr<int32_t> ReadI32At(const StreamRanges& stream, uint64_t offset) {
  ASSIGN_OR_RETURN(const std::string bytes, stream.Read(offset, sizeof(int32_t)));
  return JavaReader(bytes, offset).ReadI32("number");
}

/// Whether key group 0, which begins with four bytes of 0, goes on as rows do. The first row tells,
/// unless the length of its key can be the id of a state. What ends behind it are damaged rows.
StatusOr<bool> GoesOnAsRows(const KeyedStateHeader& header, const StreamRanges& stream,
                            uint64_t offset) {
  // Group, key and namespace have a byte at least.
  constexpr int32_t kShortestKey = 3;
  constexpr int kRowsAgainstChance = 4;
  uint64_t at = offset + sizeof(uint16_t);
  const auto has = [&](uint64_t bytes) {
    return at <= stream.size() && bytes <= stream.size() - at;
  };
  for (int row = 0; row < kRowsAgainstChance; ++row) {
    if (!has(sizeof(int32_t) + 1)) return row > 0;
    ASSIGN_OR_RETURN(const int32_t key_size, ReadI32At(stream, at));
    if (key_size < kShortestKey) return false;
    // On the heap the first one is the id of a state.
    if (row == 0 && key_size >= static_cast<int64_t>(header.states.size())) return true;
    at += sizeof(int32_t);
    ASSIGN_OR_RETURN(const std::string first, stream.Read(at, 1));
    const bool follows = (static_cast<uint8_t>(first[0]) & kMetadataFollows) != 0;
    const bool is_of_group_0 = (static_cast<uint8_t>(first[0]) & ~kMetadataFollows) == 0;
    if (!is_of_group_0) return false;
    at += static_cast<uint64_t>(key_size);
    if (!has(sizeof(int32_t))) return false;
    ASSIGN_OR_RETURN(const int32_t value_size, ReadI32At(stream, at));
    at += sizeof(int32_t);
    if (value_size < 0 || !has(static_cast<uint64_t>(value_size))) return false;
    at += static_cast<uint64_t>(value_size);
    if (!follows) continue;
    if (!has(sizeof(uint16_t))) return true;
    ASSIGN_OR_RETURN(const std::string id, stream.Read(at, sizeof(uint16_t)));
    ASSIGN_OR_RETURN(const uint16_t state, JavaReader(id).ReadU16("state id"));
    if (state == kEndOfGroup) return true;
    if (state >= header.states.size()) return false;
    at += sizeof(uint16_t);
  }
  return true;
}

}  // namespace

StatusOr<bool> HoldsRows(const KeyGroupsHandle& handle, const KeyedStateHeader& header,
                         const StreamRanges& stream) {
  if (handle.kind == KeyGroupsHandle::Kind::kSavepoint) return true;
  // A group on the heap begins with its number. Rows begin with the id of a state and the length
  // of a key, which together can be the number of group 0 and hardly that of any other.
  const size_t groups = handle.offsets.size();
  size_t numbered = 0;
  for (size_t i = 0; i < groups && 2 * numbered <= groups && 2 * (numbered + groups - i) > groups;
       ++i) {
    const int64_t offset = handle.offsets[i];
    if (offset <= 0 || stream.size() < sizeof(int32_t) ||
        static_cast<uint64_t>(offset) > stream.size() - sizeof(int32_t)) {
      continue;
    }
    ASSIGN_OR_RETURN(const int32_t number, ReadI32At(stream, static_cast<uint64_t>(offset)));
    if (number == handle.start_key_group + static_cast<int64_t>(i)) ++numbered;
  }
  if (2 * numbered <= groups) return true;
  if (groups > 1 || handle.start_key_group != 0) return false;
  // Compressed rows begin as frames do, and so with no number.
  if (header.compressed) return false;
  return GoesOnAsRows(header, stream, static_cast<uint64_t>(handle.offsets[0]));
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

StatusOr<bool> HoldsRawTimers(const KeyGroupsHandle& handle, const StreamRanges& stream) {
  const std::vector<int64_t> offsets = Sorted(handle.offsets);
  RETURN_IF_ERROR(ExpectNoneTwice(offsets));
  int32_t number = handle.start_key_group;
  for (const int64_t offset : handle.offsets) {
    // A group that was not written.
    if (offset >= 0) {
      const StatusOr<bool> timer = HasTimer(stream, offset, EndOf(offsets, offset, stream.size()));
      RETURN_IF_ERROR(With(timer.status(), "key group {}", number));
      if (*timer) return true;
    }
    ++number;
  }
  return false;
}

StatusOr<std::vector<RawTimers>> CountRawTimers(const KeyGroupsHandle& handle,
                                                std::string_view stream) {
  std::vector<RawTimers> all;
  const std::vector<int64_t> offsets = Sorted(handle.offsets);
  RETURN_IF_ERROR(ExpectNoneTwice(offsets));
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
