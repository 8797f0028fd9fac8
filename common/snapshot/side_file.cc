#include "common/snapshot/side_file.h"

#include <nlohmann/json.hpp>

#include "common/io/file_system.h"

namespace flink::snapshot {
namespace {

using Json = nlohmann::json;

/// A larger file is something else, and would fill the memory.
constexpr uint64_t kMaxSideFileBytes = uint64_t{1} << 30;

std::string StringOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

SideFile ReadSideFile(const std::string& directory) {
  SideFile side;
  const std::string path = io::JoinPath(directory, kSideFileName);
  const StatusOr<uint64_t> size = io::FileSize(path);
  if (!size.ok() || *size > kMaxSideFileBytes) return side;
  const StatusOr<std::string> text = io::ReadFile(path);
  if (!text.ok()) return side;
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return side;
  side.kind = StringOf(json, "kind");
  const StatusOr<JobId> job = JobId::FromHex(StringOf(json, "job_id"));
  if (job.ok()) side.job = *job;
  side.job_name = StringOf(json, "job_name");
  side.in_flight_data = StringOf(json, kInFlightDataKey) == kInFlightDataFormat;
  const auto timestamp = json.find("trigger_timestamp_ms");
  if (timestamp != json.end() && timestamp->is_number_integer()) {
    side.trigger_timestamp_ms = timestamp->get<int64_t>();
  }
  const auto operators = json.find("operators");
  if (operators == json.end() || !operators->is_array()) return side;
  for (const Json& op : *operators) {
    if (!op.is_object()) continue;
    const StatusOr<OperatorId> id = OperatorId::FromHex(StringOf(op, "id"));
    if (id.ok()) side.operators[*id] = {StringOf(op, "name"), StringOf(op, "uid")};
  }
  return side;
}

}  // namespace flink::snapshot
