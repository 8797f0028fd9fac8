#include "taskmanager/task/in_flight_data.h"

#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "common/io/file_system.h"
#include "common/snapshot/state_files.h"
#include "flink/key_group.h"

namespace flink::taskmanager {
namespace {

/// Flink's own files have 0.
constexpr int32_t kVersion = 0x666c0001;
constexpr size_t kVersionBytes = sizeof(int32_t);

enum class Kind : uint8_t { kBatch = 1, kWatermark, kIdle, kActive };

void PutVersion(BufferWriter& out) { out.Put<int32_t>(kVersion); }

/// What the contents of all files must be.
StatusOr<snapshot::FileChecksums> ChecksumsOf(const std::vector<pb::InFlightRestore>& restores) {
  std::map<std::string, snapshot::LoadedSnapshot> by_directory;
  for (const pb::InFlightRestore& restore : restores) {
    snapshot::LoadedSnapshot& part = by_directory[restore.base_directory()];
    part.directory = restore.base_directory();
    ASSIGN_OR_RETURN(part.metadata.operators.emplace_back().subtasks[0],
                     snapshot::DecodeSubtaskState(restore.state()));
  }
  snapshot::FileChecksums checksums;
  for (const auto& [directory, part] : by_directory) {
    ASSIGN_OR_RETURN(const std::vector<snapshot::SnapshotFile> files, snapshot::StateFilesOf(part));
    checksums.merge(snapshot::ChecksumsOf(files));
  }
  return checksums;
}

/// The file of a handle; several handles in a row name the same one.
class StreamCache {
 public:
  explicit StreamCache(snapshot::FileChecksums checksums) : checksums_(std::move(checksums)) {}
  StatusOr<std::string_view> Read(const snapshot::StreamStateHandle& handle,
                                  const std::string& directory) {
    if (!(handle == handle_) || std::holds_alternative<std::monostate>(handle)) {
      ASSIGN_OR_RETURN(bytes_, snapshot::ReadVerifiedStream(handle, directory, checksums_));
      handle_ = handle;
    }
    return std::string_view(bytes_);
  }

 private:
  const snapshot::FileChecksums checksums_;
  snapshot::StreamStateHandle handle_;
  std::string bytes_;
};

StreamElement DecodeElement(BufferReader& in) {
  BufferReader frame(in.GetBytes(static_cast<size_t>(in.Get<uint32_t>())));
  StreamElement element;
  switch (static_cast<Kind>(frame.Get<uint8_t>())) {
    case Kind::kBatch: {
      element.kind = StreamElement::Kind::kEncodedBatch;
      const std::string_view bytes = frame.GetBytes(frame.remaining());
      element.bytes = FrameBytes(bytes.size());
      std::memcpy(element.bytes.data(), bytes.data(), bytes.size());
      return element;
    }
    case Kind::kWatermark:
      return StreamElement::Watermark(frame.Get<int64_t>());
    case Kind::kIdle:
      return StreamElement::Idleness(true);
    case Kind::kActive:
      return StreamElement::Idleness(false);
  }
  throw DecodeError("an element of an unknown kind");
}

StatusOr<std::vector<StreamElement>> ReadChannel(const snapshot::ChannelStateHandle& handle,
                                                 const std::string& directory,
                                                 StreamCache& streams) {
  ASSIGN_OR_RETURN(const std::string_view bytes, streams.Read(handle.stream, directory));
  const StatusOr<std::string> path = snapshot::ResolveStreamPath(handle.stream, directory);
  const std::string where = path.ok() ? *path : "the metadata of " + directory;
  try {
    if (BufferReader(bytes).Get<int32_t>() != kVersion) {
      return FailedPrecondition(
          "the records in flight in {} were written by another system; take a savepoint there "
          "and restore from that",
          where);
    }
    std::vector<StreamElement> elements;
    for (const int64_t offset : handle.offsets) {
      if (offset < 0 || static_cast<size_t>(offset) > bytes.size()) {
        return DataLoss("records in flight at {}, behind the end of {}", offset, where);
      }
      BufferReader in(bytes.substr(static_cast<size_t>(offset)));
      elements.push_back(DecodeElement(in));
    }
    return elements;
  } catch (const DecodeError& e) {
    return DataLoss("the records in flight in {} are damaged: {}", where, e.what());
  }
}

/// Channel 0: the key groups of a subtask. What goes to channel 1 is dropped.
class OwnKeyGroups final : public ChannelWriter {
 public:
  OwnKeyGroups(const EdgeType& type, const TaskDeployment& deployment) {
    const KeyGroupRange own =
        RangeForOperator(deployment.max_parallelism, deployment.parallelism, deployment.subtask);
    for (int group = 0; group < deployment.max_parallelism; ++group) {
      table_.channel_of_key_group.push_back(group >= own.start && group <= own.end ? 0 : 1);
    }
    writer_ = type.MakeWriter(*this, 0, deployment.max_parallelism, &table_in_use_);
  }
  int channel_count() const override { return 2; }
  void Write(int channel, std::unique_ptr<BatchBase> batch) override {
    if (channel == 0) kept_.push_back(StreamElement::Records(std::move(batch)));
  }
  std::vector<StreamElement> Filter(BatchBase& batch) {
    writer_->WriteBatch(batch);
    writer_->FlushBatches();
    return std::exchange(kept_, {});
  }

 private:
  RoutingTable table_;
  const RoutingTable* const table_in_use_ = &table_;
  std::unique_ptr<RecordWriter> writer_;
  std::vector<StreamElement> kept_;
};

std::vector<StreamElement> WithoutForeignKeys(const std::vector<StreamElement>& elements,
                                              const EdgeType& type,
                                              const TaskDeployment& deployment) {
  OwnKeyGroups own(type, deployment);
  std::vector<StreamElement> kept;
  for (const StreamElement& element : elements) {
    if (element.kind != StreamElement::Kind::kEncodedBatch) continue;
    BufferReader in(element.bytes.view());
    const std::unique_ptr<BatchBase> batch = type.Decode(in);
    for (StreamElement& e : own.Filter(*batch)) kept.push_back(std::move(e));
  }
  return kept;
}

Status RecoverChannel(const pb::InFlightRestore& restore, const TaskDeployment& deployment,
                      StreamCache& streams) {
  size_t channel = 0;
  const auto& channels = deployment.input_channels;
  while (channel < channels.size() && (channels[channel].gate != restore.gate() ||
                                       channels[channel].gate_channel != restore.channel())) {
    ++channel;
  }
  if (channel == channels.size()) {
    return Internal("records in flight for channel {} of input {}, which the task does not have",
                    restore.channel(), restore.gate());
  }
  ASSIGN_OR_RETURN(const snapshot::SubtaskState state,
                   snapshot::DecodeSubtaskState(restore.state()));
  const EdgeType& type = *channels[channel].type;
  for (const snapshot::ChannelStateHandle& handle : state.input_channel_state) {
    ASSIGN_OR_RETURN(std::vector<StreamElement> elements,
                     ReadChannel(handle, restore.base_directory(), streams));
    if (restore.own_keys_only()) {
      elements = WithoutForeignKeys(elements, type, deployment);
    } else if (!restore.with_events()) {
      std::erase_if(elements, [](const StreamElement& e) {
        return e.kind != StreamElement::Kind::kEncodedBatch;
      });
    }
    deployment.gate->Recover(static_cast<int>(channel), std::move(elements));
  }
  return OkStatus();
}

}  // namespace

InFlightRecorder::InFlightRecorder(InputGate& gate, int64_t checkpoint_id)
    : gate_(gate),
      checkpoint_id_(checkpoint_id),
      channels_(static_cast<size_t>(gate.channel_count())) {}

void InFlightRecorder::Record(int channel, const StreamElement& element) {
  Channel& c = channels_[static_cast<size_t>(channel)];
  BufferWriter& out = c.frames;
  const size_t begin = out.size();
  out.Put<uint32_t>(0);
  switch (element.kind) {
    case StreamElement::Kind::kBatch:
      out.Put(static_cast<uint8_t>(Kind::kBatch));
      element.batch->Encode(out);
      break;
    case StreamElement::Kind::kEncodedBatch:
      out.Put(static_cast<uint8_t>(Kind::kBatch));
      out.PutBytes(element.bytes.view());
      break;
    case StreamElement::Kind::kWatermark:
      out.Put(static_cast<uint8_t>(Kind::kWatermark));
      out.Put<int64_t>(element.value);
      break;
    case StreamElement::Kind::kIdle:
      out.Put(static_cast<uint8_t>(Kind::kIdle));
      break;
    case StreamElement::Kind::kActive:
      out.Put(static_cast<uint8_t>(Kind::kActive));
      break;
    case StreamElement::Kind::kBarrier:
    case StreamElement::Kind::kEndOfData:
    case StreamElement::Kind::kEndOfChannel:
      out.Truncate(begin);
      return;
  }
  const uint32_t length =
      internal::SwapBytes(static_cast<uint32_t>(out.size() - begin - sizeof(uint32_t)));
  std::memcpy(out.MutableData() + begin, &length, sizeof length);
  c.offsets.push_back(static_cast<int64_t>(begin));
}

void InFlightRecorder::Close(int channel, bool capture_queue) {
  channels_[static_cast<size_t>(channel)].open = false;
  if (!capture_queue) return;
  for (const StreamElement* element : gate_.QueuedBefore(channel, checkpoint_id_)) {
    Record(channel, *element);
  }
}

std::vector<RecordedChannel> InFlightRecorder::Take() {
  std::vector<RecordedChannel> recorded;
  for (size_t i = 0; i < channels_.size(); ++i) {
    Channel& c = channels_[i];
    if (c.offsets.empty()) continue;
    recorded.push_back({static_cast<int>(i), c.frames.TakeString(), std::move(c.offsets)});
  }
  return recorded;
}

StoredInFlightData StoreInFlightData(std::vector<RecordedChannel> recorded,
                                     const std::vector<InputChannelDeployment>& input_channels,
                                     int subtask, const std::string& path,
                                     uint64_t inline_threshold_bytes) {
  uint64_t total = kVersionBytes;
  for (const RecordedChannel& channel : recorded) total += channel.frames.size();
  const bool is_inline = total <= inline_threshold_bytes;
  StoredInFlightData stored;
  BufferWriter file;
  PutVersion(file);
  for (RecordedChannel& channel : recorded) {
    const InputChannelDeployment& from = input_channels[static_cast<size_t>(channel.channel)];
    snapshot::ChannelStateHandle handle;
    handle.subtask = subtask;
    handle.gate_or_partition = from.gate;
    handle.channel = from.gate_channel;
    handle.offsets = std::move(channel.offsets);
    handle.size = static_cast<int64_t>(channel.frames.size());
    size_t base = file.size();
    if (is_inline) {
      // Each handle has a stream of its own, which counts as state with its version.
      BufferWriter own;
      PutVersion(own);
      base = own.size();
      own.PutBytes(channel.frames);
      handle.size = static_cast<int64_t>(own.size());
      handle.stream = snapshot::InlineHandle{
          path + "-" + std::to_string(from.gate) + "-" + std::to_string(from.gate_channel),
          own.TakeString()};
    } else {
      file.PutBytes(channel.frames);
      handle.stream = snapshot::FileHandle{path, static_cast<int64_t>(total)};
    }
    for (int64_t& offset : handle.offsets) offset += static_cast<int64_t>(base);
    stored.handles.push_back(std::move(handle));
  }
  if (!is_inline) stored.file_bytes = file.TakeString();
  return stored;
}

Status RecoverInFlightData(const TaskDeployment& deployment) {
  const auto recover = [&]() -> Status {
    ASSIGN_OR_RETURN(snapshot::FileChecksums checksums, ChecksumsOf(deployment.in_flight));
    StreamCache streams(std::move(checksums));
    for (const pb::InFlightRestore& restore : deployment.in_flight) {
      RETURN_IF_ERROR(RecoverChannel(restore, deployment, streams));
    }
    return OkStatus();
  };
  return With(recover(), "restoring {}", deployment.vertex_name);
}

}  // namespace flink::taskmanager
