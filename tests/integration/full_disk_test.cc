/// Snapshots to a disk that is full fail with the name of the file and leave nothing behind, and
/// the job goes on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/lifecycle_fixture.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FullDiskTest : public LifecycleTest {
 protected:
  void SetUp() override {
    disk_ = Dir("disk");
    fs::create_directories(disk_);
    if (RunCommand({"mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk_}).exit_code != 0) {
      disk_.clear();
      GTEST_SKIP() << "a small file system can only be mounted by root";
    }
  }
  void TearDown() override {
    LifecycleTest::TearDown();
    if (disk_.empty()) return;
    const auto unmount = [this] { return RunCommand({"umount", disk_}).exit_code == 0; };
    EXPECT_TRUE(WaitFor(unmount)) << "still in use: " << disk_;
  }

  /// Checkpoints go to the disk; a failed one does no harm.
  std::string JobOnDisk(const Words& options) const {
    return RunningJob(options + Checkpoints("1 h") +
                          Words{"-Dexecution.checkpointing.dir=file://" + disk_ + "/chk",
                                "-Dexecution.checkpointing.tolerable-failed-checkpoints=100"},
                      1000);
  }
  void Fill() const {
    std::ofstream file(disk_ + "/filler", std::ios::binary);
    const std::string block(4096, 'x');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void Empty() const { fs::remove(disk_ + "/filler"); }
  /// All files on the disk but the one that fills it and the lock of the job that runs.
  std::string Files() const {
    return RunCommand({"find", disk_, "-type", "f", "-not", "-name", "filler", "-not", "-name",
                       "_flink_cpp_lock"})
        .out;
  }
  void ExpectUnharmed(const std::string& job) const {
    EXPECT_TRUE(WaitFor([&] { return Files().empty(); })) << Files();
    const int64_t records = RecordsRead(job);
    EXPECT_TRUE(WaitFor([&] { return RecordsRead(job) > records; })) << cluster_->Logs();
    const auto exceptions = cluster_->Get("/jobs/" + job + "/exceptions");
    ASSERT_TRUE(exceptions.ok());
    EXPECT_TRUE((*exceptions)["exceptionHistory"]["entries"].empty()) << exceptions->dump();
  }

  std::string disk_;
};

TEST_F(FullDiskTest, ACheckpointOfATaskFailsAndTheJobGoesOn) {
  const std::string job = JobOnDisk({"-Dexecution.checkpointing.data-inline-threshold=0"});
  Fill();
  const CommandResult failed = cluster_->Flink({"checkpoint", job});
  ExpectRefused(failed, disk_ + "/chk/" + job);
  EXPECT_THAT(failed.err, HasSubstr("No space left on device"));
  ExpectUnharmed(job);
  Empty();
  const CommandResult done = cluster_->Flink({"checkpoint", job});
  EXPECT_EQ(done.exit_code, 0) << done.out << done.err << cluster_->Logs();
}

TEST_F(FullDiskTest, MetadataThatCannotBeWrittenFailsTheCheckpointAndTheJobGoesOn) {
  // All state is inline, so that only the JobManager writes.
  const std::string job = JobOnDisk({"-Dexecution.checkpointing.data-inline-threshold=1 mb"});
  Fill();
  const CommandResult failed = cluster_->Flink({"checkpoint", job});
  ExpectRefused(failed, disk_ + "/chk/" + job);
  ExpectUnharmed(job);
  Empty();
  EXPECT_EQ(cluster_->Flink({"checkpoint", job}).exit_code, 0) << cluster_->Logs();
}

TEST_F(FullDiskTest, ASavepointFailsAndLeavesNothing) {
  const std::string job = RunningJob({"-Dexecution.checkpointing.data-inline-threshold=0",
                                      "-Dexecution.checkpointing.tolerable-failed-checkpoints=1"},
                                     1000);
  Fill();
  const CommandResult failed = cluster_->Flink({"savepoint", job, disk_ + "/sp"});
  ExpectRefused(failed, disk_ + "/sp/savepoint-");
  EXPECT_THAT(failed.err, HasSubstr("No space left on device"));
  ExpectUnharmed(job);
  EXPECT_TRUE(WaitFor([&] { return Entries(disk_ + "/sp").empty(); }));
}

}  // namespace
}  // namespace flink::testing
