#include "jobmanager/rest/rest_response.h"

#include <gtest/gtest.h>

namespace flink::jobmanager {
namespace {

// As Java's exceptions that wrap another. Recorded of Flink: rest/70, rest/83b.
TEST(RestResponseTest, AFailureOfSeveralLinesIsWrappedWhole) {
  Operation operation;
  operation.completed = true;
  operation.failure = OperationFailure{"a.b.SinkException", "first\nsecond"};
  const Json failure =
      OperationJson(OperationKind::kSavepoint, operation)["operation"]["failure-cause"];
  const std::string cause = "a.b.SinkException: first\nsecond\n";
  EXPECT_EQ(failure["stack-trace"],
            "java.util.concurrent.CompletionException: " + cause + "Caused by: " + cause);
}

}  // namespace
}  // namespace flink::jobmanager
