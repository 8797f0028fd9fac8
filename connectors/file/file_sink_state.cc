#include "connectors/file/file_sink_state.h"

#include <stdexcept>
#include <type_traits>
#include <utility>

#include "common/snapshot/java_data.h"

namespace flink::file {
namespace {

using snapshot::JavaReader;
using snapshot::JavaWriter;

constexpr int32_t kCollectorVersion = 2;
constexpr int32_t kCheckpointVersion = 1;
constexpr int32_t kSubtaskVersion = 1;
constexpr int32_t kRequestVersion = 0;
constexpr int32_t kCommittableVersion = 2;
constexpr int32_t kPartFileVersion = 2;
constexpr int32_t kRecoverableVersion = 1;
constexpr int32_t kBucketStateVersion = 3;
constexpr int32_t kStringVersion = 1;

constexpr uint32_t kCollectorMagic = 0xb91f252c;
constexpr uint32_t kCommittableMagic = 0x1e765c80;
constexpr uint32_t kPendingMagic = 0x2c853c89;
constexpr uint32_t kInProgressMagic = 0xb3a4073d;
constexpr uint32_t kBucketStateMagic = 0x1e764b79;
constexpr uint32_t kRecoverableMagic = 0x1e744b57;  // With its lowest byte first.

/// Nothing here fails: texts are paths and ids, far below what a text may be long.
std::string BytesOf(JavaWriter& out) {
  if (!out.status().ok()) throw std::runtime_error(Message(out.status()));
  return out.TakeBytes();
}

/// The frame around every nested value: its version, its length, its bytes.
void WriteVersioned(JavaWriter& out, int32_t version, std::string_view bytes) {
  out.WriteI32(version);
  out.WriteSizedBytes(bytes);
}

StatusOr<JavaReader> Nested(JavaReader& in, std::string_view what) {
  ASSIGN_OR_RETURN(const std::string_view bytes, in.ReadSizedBytes(what));
  return JavaReader(bytes, in.offset() - bytes.size());
}

Status ExpectVersion(JavaReader& in, int32_t version, std::string_view what) {
  const size_t at = in.offset();
  ASSIGN_OR_RETURN(const int32_t found, in.ReadI32(what));
  if (found == version) return OkStatus();
  return in.Error(at, "{} has version {}; only {}, that of Apache Flink 1.20, can be read", what,
                  found, version);
}

StatusOr<JavaReader> ReadVersioned(JavaReader& in, int32_t version, std::string_view what) {
  RETURN_IF_ERROR(ExpectVersion(in, version, what));
  return Nested(in, what);
}

Status ExpectMagic(JavaReader& in, uint32_t magic, std::string_view what) {
  const size_t at = in.offset();
  ASSIGN_OR_RETURN(const int32_t found, in.ReadI32(what));
  if (static_cast<uint32_t>(found) == magic) return OkStatus();
  return in.Error(at, "{} begins with {:08x} instead of {:08x}", what, static_cast<uint32_t>(found),
                  magic);
}

/// A list: the version of its elements, their number, each with its length.
template <class T, class Write>
void WriteList(JavaWriter& out, int32_t version, const std::vector<T>& list, Write&& write) {
  out.WriteI32(version);
  out.WriteI32(static_cast<int32_t>(list.size()));
  for (const T& element : list) {
    JavaWriter bytes;
    write(bytes, element);
    out.WriteSizedBytes(BytesOf(bytes));
  }
}

template <class T, class Read>
StatusOr<std::vector<T>> ReadList(JavaReader& in, int32_t version, std::string_view what,
                                  Read&& read) {
  RETURN_IF_ERROR(ExpectVersion(in, version, what));
  ASSIGN_OR_RETURN(const int32_t count, in.ReadCount(what, sizeof(int32_t)));
  std::vector<T> list;
  for (int32_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(JavaReader element, Nested(in, what));
    ASSIGN_OR_RETURN(T value, read(element));
    RETURN_IF_ERROR(element.ExpectEnd(what));
    list.push_back(std::move(value));
  }
  return list;
}

template <class T>
void PutLittleEndian(std::string& out, T value) {
  using U = std::make_unsigned_t<T>;
  for (size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>(static_cast<U>(value) >> (8 * i) & 0xff));
  }
}

template <class T>
T GetLittleEndian(std::string_view bytes) {
  using U = std::make_unsigned_t<T>;
  U value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<U>(static_cast<U>(static_cast<uint8_t>(bytes[i])) << (8 * i));
  }
  return static_cast<T>(value);
}

// The recoverable itself is the only part with the lowest byte first.
std::string EncodeRecoverable(const Recoverable& file) {
  std::string out;
  PutLittleEndian(out, kRecoverableMagic);
  PutLittleEndian(out, file.length);
  PutLittleEndian(out, static_cast<int32_t>(file.target.size()));
  PutLittleEndian(out, static_cast<int32_t>(file.temporary.size()));
  return out + file.target + file.temporary;
}

StatusOr<Recoverable> DecodeRecoverable(JavaReader& in) {
  constexpr std::string_view kWhat = "the place of a part file";
  const size_t at = in.offset();
  ASSIGN_OR_RETURN(const std::string_view head, in.ReadBytes(20, kWhat));
  if (GetLittleEndian<uint32_t>(head) != kRecoverableMagic) {
    return in.Error(at, "{} is not one on a local file system, the only kind that can be restored",
                    kWhat);
  }
  Recoverable file;
  file.length = GetLittleEndian<int64_t>(head.substr(4));
  const int32_t target = GetLittleEndian<int32_t>(head.substr(12));
  const int32_t temporary = GetLittleEndian<int32_t>(head.substr(16));
  const auto left = static_cast<int64_t>(in.remaining());
  if (file.length < 0 || target < 0 || temporary < 0 || int64_t{target} + temporary != left) {
    return in.Error(at, "{} is damaged: length {}, paths of {} and {} bytes, {} bytes follow",
                    kWhat, file.length, target, temporary, left);
  }
  ASSIGN_OR_RETURN(file.target, in.ReadBytes(static_cast<size_t>(target), kWhat));
  ASSIGN_OR_RETURN(file.temporary, in.ReadBytes(static_cast<size_t>(temporary), kWhat));
  for (const std::string* path : {&file.target, &file.temporary}) {
    if (path->empty() || path->front() != '/' || path->find('\0') != std::string::npos) {
      return in.Error(at, "{} is damaged: \"{}\" is no absolute path", kWhat, *path);
    }
  }
  return file;
}

void WritePartFile(JavaWriter& out, uint32_t magic, const PartFile& part) {
  JavaWriter bytes;
  bytes.WriteI32(static_cast<int32_t>(magic));
  bytes.WriteBool(part.target_uri.has_value());
  if (part.target_uri.has_value()) bytes.WriteUtf(*part.target_uri);
  // Of a finished file its size stands here, too.
  if (magic == kPendingMagic) bytes.WriteI64(part.file.length);
  WriteVersioned(bytes, kRecoverableVersion, EncodeRecoverable(part.file));
  WriteVersioned(out, kPartFileVersion, BytesOf(bytes));
}

StatusOr<PartFile> ReadPartFile(JavaReader& outer, uint32_t magic) {
  constexpr std::string_view kWhat = "a part file";
  ASSIGN_OR_RETURN(JavaReader in, ReadVersioned(outer, kPartFileVersion, kWhat));
  RETURN_IF_ERROR(ExpectMagic(in, magic, kWhat));
  PartFile part;
  ASSIGN_OR_RETURN(const bool has_uri, in.ReadBool(kWhat));
  if (has_uri) {
    ASSIGN_OR_RETURN(part.target_uri, in.ReadUtf(kWhat));
  }
  int64_t size = 0;
  const size_t at = in.offset();
  if (magic == kPendingMagic) {
    ASSIGN_OR_RETURN(size, in.ReadI64(kWhat));
  }
  ASSIGN_OR_RETURN(JavaReader place, ReadVersioned(in, kRecoverableVersion, kWhat));
  ASSIGN_OR_RETURN(part.file, DecodeRecoverable(place));
  if (magic == kPendingMagic && size != part.file.length) {
    return in.Error(at, "{} has {} bytes, and {} in its place", kWhat, size, part.file.length);
  }
  RETURN_IF_ERROR(in.ExpectEnd(kWhat));
  return part;
}

void WriteOptionalPartFile(JavaWriter& out, uint32_t magic, const std::optional<PartFile>& part) {
  out.WriteBool(part.has_value());
  if (part.has_value()) WritePartFile(out, magic, *part);
}

StatusOr<std::optional<PartFile>> ReadOptionalPartFile(JavaReader& in, uint32_t magic) {
  ASSIGN_OR_RETURN(const bool there, in.ReadBool("a part file"));
  if (!there) return std::optional<PartFile>();
  ASSIGN_OR_RETURN(PartFile part, ReadPartFile(in, magic));
  return std::optional<PartFile>(std::move(part));
}

void WriteRequest(JavaWriter& out, const CommitRequest& request) {
  const Committable& c = request.committable;
  JavaWriter bytes;
  bytes.WriteI32(static_cast<int32_t>(kCommittableMagic));
  bytes.WriteUtf(c.bucket_id);
  WriteOptionalPartFile(bytes, kPendingMagic, c.pending);
  WriteOptionalPartFile(bytes, kInProgressMagic, c.cleanup);
  bytes.WriteBool(c.compacted.has_value());
  if (c.compacted.has_value()) bytes.WriteUtf(*c.compacted);
  WriteVersioned(out, kCommittableVersion, BytesOf(bytes));
  out.WriteI32(request.retries);
  out.WriteI32(static_cast<int32_t>(request.state));
}

StatusOr<CommitRequest> ReadRequest(JavaReader& outer) {
  constexpr std::string_view kWhat = "a committable";
  ASSIGN_OR_RETURN(JavaReader in, ReadVersioned(outer, kCommittableVersion, kWhat));
  RETURN_IF_ERROR(ExpectMagic(in, kCommittableMagic, kWhat));
  CommitRequest request;
  Committable& c = request.committable;
  ASSIGN_OR_RETURN(c.bucket_id, in.ReadUtf(kWhat));
  ASSIGN_OR_RETURN(c.pending, ReadOptionalPartFile(in, kPendingMagic));
  ASSIGN_OR_RETURN(c.cleanup, ReadOptionalPartFile(in, kInProgressMagic));
  ASSIGN_OR_RETURN(const bool compacted, in.ReadBool(kWhat));
  if (compacted) {
    ASSIGN_OR_RETURN(c.compacted, in.ReadUtf(kWhat));
  }
  RETURN_IF_ERROR(in.ExpectEnd(kWhat));
  ASSIGN_OR_RETURN(request.retries, outer.ReadI32(kWhat));
  const size_t at = outer.offset();
  ASSIGN_OR_RETURN(const int32_t state, outer.ReadI32(kWhat));
  if (state < 0 || state > static_cast<int32_t>(RequestState::kCommitted)) {
    return outer.Error(at, "{} is in state {}, which there is not", kWhat, state);
  }
  request.state = static_cast<RequestState>(state);
  return request;
}

void WriteSubtask(JavaWriter& out, const SubtaskCommittables& subtask) {
  out.WriteI32(subtask.subtask);
  WriteList(out, kRequestVersion, subtask.requests, WriteRequest);
  out.WriteI32(subtask.expected);
  out.WriteI32(subtask.drained);
  out.WriteI32(subtask.failed);
}

StatusOr<SubtaskCommittables> ReadSubtask(JavaReader& in) {
  constexpr std::string_view kWhat = "the committables of a subtask";
  SubtaskCommittables subtask;
  ASSIGN_OR_RETURN(subtask.subtask, in.ReadI32(kWhat));
  ASSIGN_OR_RETURN(subtask.requests,
                   ReadList<CommitRequest>(in, kRequestVersion, kWhat, ReadRequest));
  const size_t at = in.offset();
  ASSIGN_OR_RETURN(subtask.expected, in.ReadI32(kWhat));
  ASSIGN_OR_RETURN(subtask.drained, in.ReadI32(kWhat));
  ASSIGN_OR_RETURN(subtask.failed, in.ReadI32(kWhat));
  const int64_t accounted =
      int64_t{subtask.drained} + subtask.failed + static_cast<int64_t>(subtask.requests.size());
  if (subtask.drained < 0 || subtask.failed < 0 || accounted != subtask.expected) {
    return in.Error(at, "{} are {}, and {} were announced", kWhat, accounted, subtask.expected);
  }
  return subtask;
}

void WriteCheckpoint(JavaWriter& out, const CheckpointCommittables& checkpoint) {
  out.WriteI64(checkpoint.checkpoint_id);
  out.WriteI32(checkpoint.subtasks);
  WriteList(out, kSubtaskVersion, checkpoint.by_subtask, WriteSubtask);
}

StatusOr<CheckpointCommittables> ReadCheckpoint(JavaReader& in) {
  constexpr std::string_view kWhat = "the committables of a checkpoint";
  CheckpointCommittables checkpoint;
  ASSIGN_OR_RETURN(checkpoint.checkpoint_id, in.ReadI64(kWhat));
  ASSIGN_OR_RETURN(checkpoint.subtasks, in.ReadI32(kWhat));
  ASSIGN_OR_RETURN(checkpoint.by_subtask,
                   ReadList<SubtaskCommittables>(in, kSubtaskVersion, kWhat, ReadSubtask));
  return checkpoint;
}

/// An element is a byte array that holds one versioned value.
std::string Element(int32_t version, std::string_view bytes) {
  JavaWriter value;
  WriteVersioned(value, version, bytes);
  JavaWriter element;
  element.WriteSizedBytes(BytesOf(value));
  return BytesOf(element);
}

/// `read` gets the bytes of that value and must use up all of them. Behind the byte array those of
/// other elements may stand (snapshot::ReadOperatorStateStream).
template <class Read>
auto ReadElement(std::string_view element, int32_t version, std::string_view what, Read&& read)
    -> decltype(read(std::declval<JavaReader&>())) {
  JavaReader in(element);
  ASSIGN_OR_RETURN(JavaReader array, Nested(in, what));
  ASSIGN_OR_RETURN(JavaReader value, ReadVersioned(array, version, what));
  RETURN_IF_ERROR(array.ExpectEnd(what));
  ASSIGN_OR_RETURN(auto result, read(value));
  RETURN_IF_ERROR(value.ExpectEnd(what));
  return result;
}

}  // namespace

std::string EncodeCommitterState(const std::vector<CheckpointCommittables>& checkpoints) {
  JavaWriter out;
  out.WriteI32(static_cast<int32_t>(kCollectorMagic));
  WriteList(out, kCheckpointVersion, checkpoints, WriteCheckpoint);
  return Element(kCollectorVersion, BytesOf(out));
}

StatusOr<std::vector<CheckpointCommittables>> DecodeCommitterState(std::string_view element) {
  constexpr std::string_view kWhat = "the state of a sink's committer";
  return ReadElement(element, kCollectorVersion, kWhat,
                     [&](JavaReader& in) -> StatusOr<std::vector<CheckpointCommittables>> {
                       RETURN_IF_ERROR(ExpectMagic(in, kCollectorMagic, kWhat));
                       return ReadList<CheckpointCommittables>(in, kCheckpointVersion, kWhat,
                                                               ReadCheckpoint);
                     });
}

std::string EncodeBucketState(const BucketState& bucket) {
  std::string id;
  PutLittleEndian(id, static_cast<int32_t>(bucket.bucket_id.size()));
  id += bucket.bucket_id;
  JavaWriter out;
  out.WriteI32(static_cast<int32_t>(kBucketStateMagic));
  WriteVersioned(out, kStringVersion, id);
  out.WriteUtf(bucket.path);
  out.WriteI64(bucket.created_ms);
  WriteOptionalPartFile(out, kInProgressMagic, bucket.in_progress);
  return Element(kBucketStateVersion, BytesOf(out));
}

StatusOr<BucketState> DecodeBucketState(std::string_view element) {
  constexpr std::string_view kWhat = "the state of a sink's writer";
  return ReadElement(
      element, kBucketStateVersion, kWhat, [&](JavaReader& in) -> StatusOr<BucketState> {
        RETURN_IF_ERROR(ExpectMagic(in, kBucketStateMagic, kWhat));
        BucketState bucket;
        ASSIGN_OR_RETURN(JavaReader id, ReadVersioned(in, kStringVersion, kWhat));
        const size_t at = id.offset();
        ASSIGN_OR_RETURN(const std::string_view length, id.ReadBytes(sizeof(int32_t), kWhat));
        if (GetLittleEndian<uint32_t>(length) != id.remaining()) {
          return id.Error(at, "the bucket id in {} has another length than is said", kWhat);
        }
        ASSIGN_OR_RETURN(bucket.bucket_id, id.ReadBytes(id.remaining(), kWhat));
        ASSIGN_OR_RETURN(bucket.path, in.ReadUtf(kWhat));
        ASSIGN_OR_RETURN(bucket.created_ms, in.ReadI64(kWhat));
        ASSIGN_OR_RETURN(bucket.in_progress, ReadOptionalPartFile(in, kInProgressMagic));
        return bucket;
      });
}

std::string FileUri(std::string_view path) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-!.~'()*/:@&=+$,;";
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string uri = "file:";
  for (const char c : path) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x80 || kPlain.find(c) != std::string_view::npos) {
      uri.push_back(c);
    } else {
      uri += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return uri;
}

}  // namespace flink::file
