#include "taskmanager/state/state_type_name.h"

#include "common/snapshot/java_data.h"

namespace flink::taskmanager {
namespace {

using snapshot::JavaReader;

constexpr int32_t kCompositeMagic = 911108;
constexpr int32_t kNestedMagic = 1333245;

/// "a.b.LongSerializer$LongSerializerSnapshot" -> "Long".
std::string ShortName(std::string name) {
  const size_t separator = name.find_last_of(".$");
  if (separator != std::string::npos) name.erase(0, separator + 1);
  constexpr std::string_view kSuffix = "SerializerSnapshot";
  if (name.size() > kSuffix.size() && name.ends_with(kSuffix)) {
    name.erase(name.size() - kSuffix.size());
  }
  return name == "Int" ? "Integer" : name;
}

StatusOr<std::string> ReadName(JavaReader& in, int depth) {
  ASSIGN_OR_RETURN(std::string name, in.ReadUtf("class"));
  name = ShortName(std::move(name));
  RETURN_IF_ERROR(in.ReadI32("version").status());
  const bool tuple = name == "Tuple";
  if (!tuple && name != "List" && name != "Map" && name != "Timer") return name;
  if (depth > 16) return DataLoss("types are nested too deeply");
  RETURN_IF_ERROR(in.ExpectI32(kCompositeMagic, "magic"));
  RETURN_IF_ERROR(in.ReadI32("outer version").status());
  if (tuple) {
    ASSIGN_OR_RETURN(name, in.ReadUtf("tuple class"));
    name = ShortName(std::move(name));
  }
  RETURN_IF_ERROR(in.ExpectI32(kNestedMagic, "nested magic"));
  RETURN_IF_ERROR(in.ReadI32("nested version").status());
  ASSIGN_OR_RETURN(const int32_t n, in.ReadCount("fields", 6));
  name += '<';
  for (int32_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(const std::string field, ReadName(in, depth + 1));
    if (i != 0) name += ',';
    name += field;
  }
  return name + '>';
}

}  // namespace

std::string TypeNameOfSnapshot(std::string_view serializer_snapshot) {
  JavaReader in(serializer_snapshot);
  StatusOr<std::string> name = ReadName(in, 0);
  if (name.ok()) return std::move(name).value();
  JavaReader again(serializer_snapshot);
  StatusOr<std::string> class_name = again.ReadUtf("class");
  return class_name.ok() ? *class_name : "an unknown type";
}

}  // namespace flink::taskmanager
