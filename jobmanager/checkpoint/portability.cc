#include "jobmanager/checkpoint/portability.h"

#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/serializer_snapshot.h"
#include "common/snapshot/state_types.h"

namespace flink::jobmanager {
namespace {

constexpr std::string_view kFlinkPackage = "org.apache.flink.";

/// Empty when Flink knows all classes of the type.
std::string ForeignClass(std::string_view serializer) {
  const auto classes = snapshot::SerializerSnapshotClasses(serializer);
  if (!classes.ok()) return "an unknown class";
  for (const std::string& name : *classes) {
    if (!name.starts_with(kFlinkPackage)) return name;
  }
  return "";
}

std::string ReasonAgainst(const snapshot::StateMetaInfo& state, std::string_view key_serializer) {
  const auto key_class = snapshot::SerializerSnapshotClass(key_serializer);
  if (key_class.ok() && key_class->find("Array") != std::string::npos) {
    return "the key is an array";
  }
  std::vector<std::string_view> serializers = {key_serializer};
  for (const auto& serializer : state.serializers) serializers.push_back(serializer.second);
  for (const std::string_view serializer : serializers) {
    const std::string foreign = ForeignClass(serializer);
    if (!foreign.empty()) return "the class " + foreign + " is not Flink's";
  }
  return "";
}

}  // namespace

StatusOr<std::vector<NotPortableState>> FindNotPortableStates(const snapshot::OperatorSnapshot& op,
                                                              const std::string& directory) {
  std::vector<NotPortableState> found;
  for (const auto& [index, subtask] : op.subtasks) {
    const auto* groups = std::get_if<snapshot::KeyGroupsHandle>(&subtask.managed_keyed_state);
    if (groups == nullptr || groups->kind != snapshot::KeyGroupsHandle::Kind::kSavepoint) continue;
    ASSIGN_OR_RETURN(const snapshot::KeyedStateHeader header,
                     snapshot::ReadKeyedStateHead(groups->stream, directory));
    for (const snapshot::StateMetaInfo& state : header.states) {
      std::string reason = ReasonAgainst(state, header.key_serializer);
      if (!reason.empty()) found.push_back({state.name, std::move(reason)});
    }
    // All subtasks register the same states.
    break;
  }
  return found;
}

}  // namespace flink::jobmanager
