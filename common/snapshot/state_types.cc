#include "common/snapshot/state_types.h"

#include <algorithm>
#include <utility>

#include "common/io/file_system.h"
#include "common/snapshot/serializer_snapshot.h"
#include "common/snapshot/state_files.h"

namespace flink::snapshot {
namespace {

constexpr uint64_t kFirstHeadBytes = 64 << 10;

std::string Describe(const StateMetaInfo& info, std::string_view key_serializer) {
  std::string value = TypeNameOf(info.Serializer(kValueSerializerKey));
  if (info.kind == StateKind::kPriorityQueue) return value;
  const std::string name_space = TypeNameOf(info.Serializer(kNamespaceSerializerKey));
  std::string text(info.Option(kKeyedStateTypeOption));
  text += " state of " + value + " by " + TypeNameOf(key_serializer);
  if (name_space != "VoidNamespace") text += " and " + name_space;
  return text;
}

/// The stream that begins with the head; null when there is none that can be restored here, which
/// FormProblemOf says.
const StreamStateHandle* HeadStream(const KeyedStateHandle& handle) {
  const StreamStateHandle* stream = nullptr;
  if (const auto* groups = std::get_if<KeyGroupsHandle>(&handle)) {
    stream = &groups->stream;
  } else if (const auto* files = std::get_if<IncrementalHandle>(&handle)) {
    stream = &files->meta;
  }
  if (stream == nullptr || std::holds_alternative<std::monostate>(*stream) ||
      std::holds_alternative<EmptySegmentHandle>(*stream) ||
      std::holds_alternative<OpaqueStreamHandle>(*stream)) {
    return nullptr;
  }
  return stream;
}

class TypeReader {
 public:
  explicit TypeReader(const LoadedSnapshot& snapshot) : snapshot_(snapshot) {}

  Status Read(const OperatorSnapshot& op, const KeyedStateHeader& declared,
              std::vector<KeyedStateHeader>* types) {
    for (const auto& [index, subtask] : op.subtasks) {
      const StreamStateHandle* const stream = HeadStream(subtask.managed_keyed_state);
      if (stream == nullptr) continue;
      ASSIGN_OR_RETURN(const SnapshotFile* const file, FileOf(*stream));
      if (file != nullptr) RETURN_IF_ERROR(CheckFile(*file));
      StatusOr<KeyedStateHeader> header = ReadKeyedStateHead(*stream, snapshot_.directory);
      if (header.ok() && std::find(types->begin(), types->end(), *header) != types->end()) continue;
      // A damaged file is not to pass for one of another type.
      const bool fits = header.ok() && ConflictsOf(*header, declared).empty();
      if (!fits && file != nullptr) RETURN_IF_ERROR(VerifyFile(*file));
      RETURN_IF_ERROR(header.status());
      types->push_back(*std::move(header));
    }
    return OkStatus();
  }

 private:
  /// Null for a stream that stands in the metadata.
  StatusOr<const SnapshotFile*> FileOf(const StreamStateHandle& stream) {
    if (std::holds_alternative<InlineHandle>(stream)) return nullptr;
    if (!std::exchange(listed_, true)) {
      ASSIGN_OR_RETURN(files_, StateFilesOf(snapshot_));
    }
    ASSIGN_OR_RETURN(const std::string path, ResolveStreamPath(stream, snapshot_.directory));
    const auto file = std::lower_bound(
        files_.begin(), files_.end(), path,
        [](const SnapshotFile& f, const std::string& wanted) { return f.path < wanted; });
    return file == files_.end() || file->path != path ? nullptr : &*file;
  }

  const LoadedSnapshot& snapshot_;
  bool listed_ = false;
  std::vector<SnapshotFile> files_;  // By path.
};

}  // namespace

std::string TextOf(const TypeConflict& conflict, std::string_view name, std::string_view uid) {
  const std::string op = fmt::format(
      "In the operator \"{}\" {}", name,
      uid.empty() ? std::string("without uid") : fmt::format("with the uid \"{}\"", uid));
  constexpr char kOtherUid[] =
      "give the operator another uid and start with --allowNonRestoredState";
  // As of one type by an older Flink.
  const char* const form =
      conflict.stored == conflict.declared ? " in another form of its serializer" : "";
  if (conflict.state.empty()) {
    return fmt::format(
        "{} the state is stored by keys of type {}, but the job declares keys of type {}{}: "
        "restore with the old key type, or {}.",
        op, conflict.stored, conflict.declared, form, kOtherUid);
  }
  // Names of operators' own states begin so; nobody can change them.
  const bool named_by_user = conflict.state.front() != '_';
  return fmt::format(
      "{} the state \"{}\" is stored as {}, but the job declares it as {}{}: restore with the old "
      "type, or {}.",
      op, conflict.state, conflict.stored, conflict.declared, form,
      named_by_user ? "give the state another name" : kOtherUid);
}

std::optional<TypeConflict> KeyConflict(std::string_view stored, std::string_view declared) {
  if (stored == declared) return std::nullopt;
  return TypeConflict{"", TypeNameOf(stored), TypeNameOf(declared)};
}

std::optional<TypeConflict> StateConflict(const StateMetaInfo& stored, std::string_view stored_key,
                                          const StateMetaInfo& declared,
                                          std::string_view declared_key) {
  const auto same = [&](std::string_view key) {
    return stored.Serializer(key) == declared.Serializer(key);
  };
  if (stored.kind == declared.kind && same(kValueSerializerKey) && same(kNamespaceSerializerKey) &&
      stored.Option(kKeyedStateTypeOption) == declared.Option(kKeyedStateTypeOption)) {
    return std::nullopt;
  }
  return TypeConflict{declared.name, Describe(stored, stored_key),
                      Describe(declared, declared_key)};
}

std::vector<TypeConflict> ConflictsOf(const KeyedStateHeader& stored,
                                      const KeyedStateHeader& declared) {
  std::vector<TypeConflict> conflicts;
  const auto key = KeyConflict(stored.key_serializer, declared.key_serializer);
  if (key.has_value()) conflicts.push_back(*key);
  for (const StateMetaInfo& state : declared.states) {
    const auto old = std::find_if(stored.states.begin(), stored.states.end(),
                                  [&](const StateMetaInfo& s) { return s.name == state.name; });
    if (old == stored.states.end()) continue;
    const bool timers =
        old->kind == StateKind::kPriorityQueue && state.kind == StateKind::kPriorityQueue;
    if (timers && key.has_value()) continue;
    auto conflict = StateConflict(*old, stored.key_serializer, state, declared.key_serializer);
    if (conflict.has_value()) conflicts.push_back(*std::move(conflict));
  }
  return conflicts;
}

std::optional<KeyedStateHeader> DeclaredTypes(const graph::OperatorDescription& op) {
  if (op.declared_states.empty()) return std::nullopt;
  StatusOr<KeyedStateHeader> header = ParseKeyedStateHeader(op.declared_states);
  // The task says it when a type of the program describes itself wrongly.
  if (!header.ok()) return std::nullopt;
  return *std::move(header);
}

StatusOr<StoredTypes> ReadStoredTypes(const LoadedSnapshot& snapshot,
                                      const graph::JobGraph& graph) {
  TypeReader reader(snapshot);
  StoredTypes types;
  for (const graph::JobVertex& vertex : graph.vertices) {
    for (const graph::OperatorDescription& op : vertex.operators) {
      const OperatorSnapshot* const old = snapshot.metadata.FindOperator(op.id);
      const std::optional<KeyedStateHeader> declared = DeclaredTypes(op);
      if (old == nullptr || !declared.has_value()) continue;
      RETURN_IF_ERROR(With(reader.Read(*old, *declared, &types[op.id]),
                           "The state of the operator \"{}\" cannot be read", op.name));
    }
  }
  return types;
}

StoredTypes TypesOfRunning(const graph::JobGraph& graph) {
  StoredTypes types;
  for (const graph::JobVertex& vertex : graph.vertices) {
    for (const graph::OperatorDescription& op : vertex.operators) {
      std::optional<KeyedStateHeader> declared = DeclaredTypes(op);
      if (declared.has_value()) types[op.id].push_back(*std::move(declared));
    }
  }
  return types;
}

StatusOr<KeyedStateHeader> ReadKeyedStateHead(const StreamStateHandle& stream,
                                              const std::string& metadata_directory) {
  if (const auto* in_place = std::get_if<InlineHandle>(&stream)) {
    return ParseKeyedStateHeader(in_place->bytes);
  }
  ASSIGN_OR_RETURN(const std::string path, ResolveStreamPath(stream, metadata_directory));
  const auto* segment = std::get_if<FileSegmentHandle>(&stream);
  const uint64_t start = segment == nullptr ? 0 : static_cast<uint64_t>(segment->start);
  const auto size = static_cast<uint64_t>(StreamSize(stream));
  for (uint64_t wanted = kFirstHeadBytes;; wanted *= 4) {
    const uint64_t length = std::min(wanted, size);
    ASSIGN_OR_RETURN(const std::string bytes, io::ReadFileRange(path, start, length));
    StatusOr<KeyedStateHeader> header = ParseKeyedStateHeader(bytes);
    if (header.ok()) return header;
    if (length == size) return With(header.status(), "reading {}", path);
  }
}

}  // namespace flink::snapshot
