#include "common/snapshot/restore_plan_json.h"

namespace flink::snapshot {

nlohmann::ordered_json ToJson(const RestorePlan& plan) {
  using Json = nlohmann::ordered_json;
  Json operators = Json::array();
  for (const RestoredOperator& op : plan.operators) {
    Json entry({{"verdict", NameOf(op.verdict)},
                {"id", op.id.ToHex()},
                {"uid", op.uid},
                {"name", op.name},
                {"state-bytes", op.state_bytes},
                {"old-parallelism", op.old_parallelism},
                {"parallelism", op.parallelism},
                {"max-parallelism", op.max_parallelism}});
    for (const TypeConflict& conflict : op.conflicts) {
      entry["conflicts"].push_back({{"state", conflict.state},
                                    {"stored", conflict.stored},
                                    {"declared", conflict.declared}});
    }
    operators.push_back(std::move(entry));
  }
  Json json;
  json["snapshot"] = plan.path;
  json["checkpoint-id"] = plan.checkpoint_id;
  json["restorable"] = plan.problems.empty();
  json["operators"] = std::move(operators);
  json["problems"] = plan.problems;
  return json;
}

}  // namespace flink::snapshot
