#include "cli/job_graph_texts.h"

#include <string>
#include <string_view>

#include "cli/text_table.h"

namespace flink::cli {
namespace {

Status Check(std::string_view what, const std::string& text) {
  if (IsUtf8(text)) return OkStatus();
  return FailedPrecondition("{} \"{}\" is not UTF-8.", what, Printable(text));
}

}  // namespace

Status CheckTexts(const pb::graph::v1::JobGraph& message) {
  RETURN_IF_ERROR(Check("The path of the savepoint", message.restore().path()));
  RETURN_IF_ERROR(Check("The name of the job library", message.library_name()));
  for (const std::string& argument : message.arguments()) {
    RETURN_IF_ERROR(Check("The argument of the program", argument));
  }
  for (const auto& [key, value] : message.configuration()) {
    RETURN_IF_ERROR(Check("The configuration key", key));
    RETURN_IF_ERROR(Check(fmt::format("The value of {}", key), value));
  }
  RETURN_IF_ERROR(Check("The name of the job", message.name()));
  for (const pb::graph::v1::JobVertex& vertex : message.vertices()) {
    for (const pb::graph::v1::Operator& op : vertex.operators()) {
      RETURN_IF_ERROR(Check("The name of the operator", op.name()));
      RETURN_IF_ERROR(Check("The uid", op.uid()));
    }
    RETURN_IF_ERROR(Check("The name of the vertex", vertex.name()));
  }
  return OkStatus();
}

}  // namespace flink::cli
