#include "common/snapshot/operator_state_stream.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "common/snapshot/java_data.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/snappy_frames.h"

namespace flink::snapshot {
namespace {

constexpr int32_t kStreamVersion = 6;
/// Written up to Flink 1.17; has no compression mark.
constexpr int32_t kPreviousVersion = 5;
constexpr size_t kMaxStates = 32767;

StateMetaInfo MetaInfoOf(const OperatorState& state) {
  StateMetaInfo info;
  info.name = state.name;
  info.options.emplace_back(kDistributionModeOption, DistributionModeName(state.mode));
  if (state.mode == DistributionMode::kBroadcast) {
    info.kind = StateKind::kBroadcast;
    info.serializers.emplace_back(kKeySerializerKey, state.key_serializer);
  } else {
    info.kind = StateKind::kOperator;
  }
  info.serializers.emplace_back(kValueSerializerKey, state.serializer);
  return info;
}

Status CheckStates(std::span<const OperatorState> states) {
  if (states.size() > kMaxStates) {
    return InvalidArgument("an operator has {} operator states, {} are allowed", states.size(),
                           kMaxStates);
  }
  for (const OperatorState& state : states) {
    if (state.mode == DistributionMode::kBroadcast && state.elements.size() != 1) {
      return InvalidArgument("the broadcast state \"{}\" has {} parts instead of one", state.name,
                             state.elements.size());
    }
  }
  return OkStatus();
}

/// Where the element at each offset of the handle ends. Of several at one offset, all but the last
/// in the order of the stream are empty: so no byte is handed out twice, however often a damaged
/// handle names it.
class ElementEnds {
 public:
  ElementEnds(const OperatorStateHandle& handle, size_t stream_size) : stream_size_(stream_size) {
    for (const OperatorStateOffsets& state : handle.states) {
      for (const int64_t offset : state.offsets) ++left_[offset];
    }
  }
  /// In the order of the handle.
  size_t Next(int64_t offset) {
    const auto here = left_.find(offset);
    if (--here->second > 0) return static_cast<size_t>(offset);
    const auto next = std::next(here);
    return next == left_.end() ? stream_size_
                               : std::min(stream_size_, static_cast<size_t>(next->first));
  }

 private:
  const size_t stream_size_;
  std::map<int64_t, size_t> left_;  // Offset -> elements there that have not been read.
};

}  // namespace

const StateMetaInfo* OperatorStateHead::Find(std::string_view name) const {
  for (const StateMetaInfo& info : infos) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

StatusOr<OperatorStateHead> ReadOperatorStateHead(std::string_view bytes) {
  JavaReader reader(bytes);
  OperatorStateHead head;
  ASSIGN_OR_RETURN(const int32_t version, reader.ReadI32("version of an operator-state stream"));
  if (version != kStreamVersion && version != kPreviousVersion) {
    return reader.Error(0, "expected version {} or {} of an operator-state stream, found {}",
                        kPreviousVersion, kStreamVersion, version);
  }
  if (version == kStreamVersion) {
    ASSIGN_OR_RETURN(head.compressed, reader.ReadBool("compression mark"));
  }
  for (int part = 0; part < 2; ++part) {
    const size_t at = reader.offset();
    ASSIGN_OR_RETURN(const int16_t n, reader.ReadI16("number of operator states"));
    if (n < 0) return reader.Error(at, "expected a number of operator states, found {}", n);
    for (int16_t i = 0; i < n; ++i) {
      ASSIGN_OR_RETURN(StateMetaInfo info, ReadStateMetaInfo(reader));
      head.infos.push_back(std::move(info));
    }
  }
  head.data_offset = reader.offset();
  return head;
}

OperatorStateHandle OperatorStateStream::MakeHandle(StreamStateHandle stream) const {
  OperatorStateHandle handle;
  handle.states = states;
  handle.stream = std::move(stream);
  return handle;
}

StatusOr<OperatorStateStream> WriteOperatorStateStream(std::span<const OperatorState> states) {
  RETURN_IF_ERROR(CheckStates(states));
  std::vector<const OperatorState*> ordered;
  for (const OperatorState& state : states) ordered.push_back(&state);
  const auto broadcast = std::stable_partition(
      ordered.begin(), ordered.end(),
      [](const OperatorState* s) { return s->mode != DistributionMode::kBroadcast; });
  JavaWriter writer;
  writer.WriteI32(kStreamVersion);
  writer.WriteBool(false);
  writer.WriteI16(static_cast<int16_t>(broadcast - ordered.begin()));
  for (auto it = ordered.begin(); it != broadcast; ++it) {
    WriteStateMetaInfo(writer, MetaInfoOf(**it));
  }
  writer.WriteI16(static_cast<int16_t>(ordered.end() - broadcast));
  for (auto it = broadcast; it != ordered.end(); ++it) WriteStateMetaInfo(writer, MetaInfoOf(**it));
  OperatorStateStream stream;
  for (const OperatorState* state : ordered) {
    OperatorStateOffsets offsets;
    offsets.name = state->name;
    offsets.mode = state->mode;
    offsets.offsets.reserve(state->elements.size());
    for (const std::string& element : state->elements) {
      offsets.offsets.push_back(static_cast<int64_t>(writer.size()));
      writer.WriteBytes(element);
    }
    stream.states.push_back(std::move(offsets));
  }
  RETURN_IF_ERROR(writer.status());
  stream.bytes = writer.TakeBytes();
  return stream;
}

StatusOr<std::vector<OperatorState>> ReadOperatorStateStream(std::string_view bytes,
                                                             const OperatorStateHandle& handle) {
  ASSIGN_OR_RETURN(const OperatorStateHead head, ReadOperatorStateHead(bytes));
  ElementEnds ends(handle, bytes.size());
  std::set<std::string_view> names;
  std::vector<OperatorState> states;
  for (const OperatorStateOffsets& offsets : handle.states) {
    const StateMetaInfo* info = head.Find(offsets.name);
    if (info == nullptr) {
      return DataLoss("the operator-state stream does not know the state \"{}\"", offsets.name);
    }
    if (!names.insert(offsets.name).second) {
      return DataLoss("the operator-state handle names the state \"{}\" twice", offsets.name);
    }
    OperatorState state;
    state.name = offsets.name;
    state.mode = offsets.mode;
    state.serializer = std::string(info->Serializer(kValueSerializerKey));
    state.key_serializer = std::string(info->Serializer(kKeySerializerKey));
    for (const int64_t offset : offsets.offsets) {
      if (offset < static_cast<int64_t>(head.data_offset) ||
          offset > static_cast<int64_t>(bytes.size())) {
        return DataLoss("state \"{}\" has an element at offset {}, outside of the data ({} to {})",
                        offsets.name, offset, head.data_offset, bytes.size());
      }
      const auto begin = static_cast<size_t>(offset);
      const std::string_view element = bytes.substr(begin, ends.Next(offset) - begin);
      if (!head.compressed) {
        state.elements.emplace_back(element);
        continue;
      }
      ASSIGN_OR_RETURN(std::string uncompressed, DecompressFrames(element, begin));
      state.elements.push_back(std::move(uncompressed));
    }
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace flink::snapshot
