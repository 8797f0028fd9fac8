#include "jobmanager/scheduler/states.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace flink::jobmanager {
namespace {

using Pairs = std::set<std::pair<std::string, std::string>>;

TEST(StatesTest, JobsTakeExactlyTheseTransitions) {
  const Pairs expected = {
      {"INITIALIZING", "CREATED"},   {"INITIALIZING", "FAILED"},   {"INITIALIZING", "CANCELLING"},
      {"INITIALIZING", "SUSPENDED"}, {"CREATED", "RUNNING"},       {"CREATED", "FAILING"},
      {"CREATED", "CANCELLING"},     {"CREATED", "SUSPENDED"},     {"CREATED", "RECONCILING"},
      {"RUNNING", "FINISHED"},       {"RUNNING", "RESTARTING"},    {"RUNNING", "FAILING"},
      {"RUNNING", "CANCELLING"},     {"RUNNING", "SUSPENDED"},     {"FAILING", "FAILED"},
      {"FAILING", "CANCELLING"},     {"FAILING", "SUSPENDED"},     {"CANCELLING", "CANCELED"},
      {"CANCELLING", "SUSPENDED"},   {"RESTARTING", "RUNNING"},    {"RESTARTING", "CREATED"},
      {"RESTARTING", "FAILING"},     {"RESTARTING", "CANCELLING"}, {"RESTARTING", "SUSPENDED"},
      {"RECONCILING", "RUNNING"},    {"RECONCILING", "FAILING"},   {"RECONCILING", "SUSPENDED"}};
  Pairs actual;
  for (int i = 0; i < kJobStatusCount; ++i) {
    for (int j = 0; j < kJobStatusCount; ++j) {
      const auto from = static_cast<JobStatus>(i);
      const auto to = static_cast<JobStatus>(j);
      if (CanTransition(from, to)) {
        actual.emplace(NameOf(from), NameOf(to));
        EXPECT_FALSE(IsTerminal(from));
      }
    }
  }
  EXPECT_EQ(actual, expected);
}

TEST(StatesTest, ExecutionsTakeExactlyTheseTransitions) {
  const Pairs expected = {
      {"CREATED", "SCHEDULED"},      {"CREATED", "CANCELED"},    {"CREATED", "FAILED"},
      {"CREATED", "RECONCILING"},    {"SCHEDULED", "DEPLOYING"}, {"SCHEDULED", "CANCELING"},
      {"SCHEDULED", "CANCELED"},     {"SCHEDULED", "FAILED"},    {"DEPLOYING", "INITIALIZING"},
      {"DEPLOYING", "CANCELING"},    {"DEPLOYING", "FAILED"},    {"INITIALIZING", "RUNNING"},
      {"INITIALIZING", "CANCELING"}, {"INITIALIZING", "FAILED"}, {"RUNNING", "FINISHED"},
      {"RUNNING", "CANCELING"},      {"RUNNING", "FAILED"},      {"CANCELING", "CANCELED"},
      {"CANCELING", "FAILED"},       {"RECONCILING", "RUNNING"}, {"RECONCILING", "FINISHED"},
      {"RECONCILING", "CANCELED"},   {"RECONCILING", "FAILED"}};
  Pairs actual;
  for (int i = 0; i < kExecutionStateCount; ++i) {
    for (int j = 0; j < kExecutionStateCount; ++j) {
      const auto from = static_cast<ExecutionState>(i);
      const auto to = static_cast<ExecutionState>(j);
      if (CanTransition(from, to)) {
        actual.emplace(NameOf(from), NameOf(to));
        EXPECT_FALSE(IsTerminal(from));
      }
    }
  }
  EXPECT_EQ(actual, expected);
}

TEST(StatesTest, NamesRoundTrip) {
  for (int i = 0; i < kJobStatusCount; ++i) {
    const auto status = static_cast<JobStatus>(i);
    EXPECT_EQ(ParseJobStatus(NameOf(status)), status);
  }
  for (int i = 0; i < kExecutionStateCount; ++i) {
    const auto state = static_cast<ExecutionState>(i);
    EXPECT_EQ(ParseExecutionState(NameOf(state)), state);
  }
  EXPECT_FALSE(ParseJobStatus("CANCELING"));
  EXPECT_FALSE(ParseExecutionState("CANCELLING"));
}

TEST(StatesTest, SuspendedIsTerminalButNotGlobally) {
  EXPECT_TRUE(IsTerminal(JobStatus::kSuspended));
  EXPECT_FALSE(IsGloballyTerminal(JobStatus::kSuspended));
  for (const JobStatus s : {JobStatus::kFinished, JobStatus::kCanceled, JobStatus::kFailed}) {
    EXPECT_TRUE(IsGloballyTerminal(s));
  }
}

TEST(StatesTest, AVertexShowsTheAggregateOfItsSubtasks) {
  using E = ExecutionState;
  EXPECT_EQ(AggregateState({}), E::kCreated);
  EXPECT_EQ(AggregateState({E::kFinished, E::kFinished}), E::kFinished);
  EXPECT_EQ(AggregateState({E::kFinished, E::kDeploying}), E::kRunning);
  EXPECT_EQ(AggregateState({E::kRunning, E::kFailed, E::kCanceling}), E::kFailed);
  EXPECT_EQ(AggregateState({E::kRunning, E::kCanceling}), E::kCanceling);
  EXPECT_EQ(AggregateState({E::kRunning, E::kCanceled}), E::kCanceled);
  EXPECT_EQ(AggregateState({E::kRunning, E::kInitializing}), E::kInitializing);
  EXPECT_EQ(AggregateState({E::kScheduled, E::kCreated}), E::kScheduled);
}

}  // namespace
}  // namespace flink::jobmanager
