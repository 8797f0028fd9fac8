#include "connectors/file/file_sink_state.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/operator_state_stream.h"

namespace flink::file {
namespace {

using Checkpoints = std::vector<CheckpointCommittables>;

CommitRequest Request(const std::string& name, int64_t length) {
  CommitRequest request;
  request.committable.pending =
      PartFile{"file:/out/" + name, {"/out/" + name, "/out/." + name, length}};
  return request;
}

Checkpoints TwoCheckpoints() {
  CommitRequest other = Request("b", 0);
  other.committable.bucket_id = "2026-01-01--00";
  other.committable.pending->target_uri.reset();
  other.committable.cleanup = PartFile{std::nullopt, {"/out/c", "/out/.c", 7}};
  other.committable.compacted = "file:/out/d";
  other.retries = 3;
  other.state = RequestState::kRetry;
  return {{4, 2, {{1, {}, 0, 0, 0}}},
          {5, 2, {{0, {Request("a", 3), other}, 4, 1, 1}, {1, {Request("e", 1)}, 1, 0, 0}}}};
}

BucketState Bucket() {
  BucketState bucket{"2026", "file:/out/2026", 1234, PartFile{"file:/out/2026/part", {}}};
  bucket.in_progress->file = {"/out/2026/part", "/out/2026/.part.inprogress", 1LL << 40};
  return bucket;
}

std::string ErrorOf(const std::string& element) {
  return Message(DecodeCommitterState(element).status());
}

TEST(FileSinkStateTest, WhatIsWrittenIsReadAgain) {
  const auto read = DecodeCommitterState(EncodeCommitterState(TwoCheckpoints()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, TwoCheckpoints());
  const auto bucket = DecodeBucketState(EncodeBucketState(Bucket()));
  ASSERT_TRUE(bucket.ok()) << bucket.status();
  EXPECT_EQ(*bucket, Bucket());
}

TEST(FileSinkStateTest, AnElementEndsWithItsLength) {
  const auto read = DecodeCommitterState(EncodeCommitterState({}) + "the next element");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, Checkpoints{});
}

// The places of all numbers and names in the bytes, by hand.
TEST(FileSinkStateTest, ACommittableHasTheBytesOfFlink) {
  const std::string place(
      "\x57\x4b\x74\x1e"
      "\x03\0\0\0\0\0\0\0"
      "\x06\0\0\0\x07\0\0\0/out/a/out/.a",
      33);
  const std::string pending = std::string(
                                  "\x2c\x85\x3c\x89\x01\0\x0b"
                                  "file:/out/a",
                                  18) +
                              std::string("\0\0\0\0\0\0\0\x03\0\0\0\x01\0\0\0\x21", 16) + place;
  const std::string committable = std::string("\x1e\x76\x5c\x80\0\0\x01\0\0\0\x02\0\0\0\x43", 15) +
                                  pending + std::string("\0\0", 2);
  const std::string request =
      std::string("\0\0\0\x02\0\0\0\x54", 8) + committable + std::string("\0\0\0\0\0\0\0\0", 8);
  EXPECT_EQ(pending.size(), 0x43u);
  EXPECT_EQ(committable.size(), 0x54u);
  const std::string element = EncodeCommitterState({{7, 1, {{0, {Request("a", 3)}, 1, 0, 0}}}});
  EXPECT_NE(element.find(std::string("\0\0\0\0\0\0\0\x01\0\0\0\x64", 12) + request),
            std::string::npos);
}

TEST(FileSinkStateTest, NeitherDamageNorCutsAreTakenForState) {
  const std::string whole = EncodeCommitterState(TwoCheckpoints());
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(DecodeCommitterState(whole.substr(0, n)).ok()) << n;
    std::string damaged = whole;
    damaged[n] = static_cast<char>(damaged[n] ^ 0x80);
    const auto read = DecodeCommitterState(damaged);
    EXPECT_FALSE(read.ok() && *read == TwoCheckpoints()) << n;
  }
  const std::string bucket = EncodeBucketState(Bucket());
  for (size_t n = 0; n < bucket.size(); ++n) {
    EXPECT_FALSE(DecodeBucketState(bucket.substr(0, n)).ok()) << n;
    std::string damaged = bucket;
    damaged[n] = static_cast<char>(damaged[n] ^ 0x80);
    const auto read = DecodeBucketState(damaged);
    EXPECT_FALSE(read.ok() && *read == Bucket()) << n;
  }
}

TEST(FileSinkStateTest, WhatCannotBeTakenOverIsNamed) {
  const std::string whole = EncodeCommitterState(TwoCheckpoints());
  std::string other = whole;
  other[7] = 9;
  EXPECT_NE(ErrorOf(other).find("the state of a sink's committer has version 9; only 2"),
            std::string::npos)
      << ErrorOf(other);
  other = whole;
  other[12] = 0;
  EXPECT_NE(ErrorOf(other).find("begins with 001f252c instead of b91f252c"), std::string::npos)
      << ErrorOf(other);
  other = whole;
  const size_t place = other.find("\x57\x4b\x74\x1e");
  ASSERT_NE(place, std::string::npos);
  other[place] = 0;
  EXPECT_NE(ErrorOf(other).find("not one on a local file system"), std::string::npos)
      << ErrorOf(other);
  Checkpoints checkpoints = TwoCheckpoints();
  checkpoints[1].by_subtask[0].expected = 5;
  EXPECT_NE(ErrorOf(EncodeCommitterState(checkpoints)).find("are 4, and 5 were announced"),
            std::string::npos);
  checkpoints = TwoCheckpoints();
  checkpoints[1].by_subtask[0].requests[0].committable.pending->file.target = "relative";
  EXPECT_NE(ErrorOf(EncodeCommitterState(checkpoints)).find("\"relative\" is no absolute path"),
            std::string::npos);
}

TEST(FileSinkStateTest, AUriHoldsWhatItMay) {
  EXPECT_EQ(FileUri("/a/part-0_1.~x"), "file:/a/part-0_1.~x");
  EXPECT_EQ(FileUri("/a b/100%/[c]?#"), "file:/a%20b/100%25/%5Bc%5D%3F%23");
  EXPECT_EQ(FileUri("/\xc3\xa4"), "file:/\xc3\xa4");
}

TEST(FileSinkStateTest, StateOfAFileSinkOfFlinkIsReadAndWrittenAgain) {
  const std::string archive = std::string(FLINK_SHARED_DIR) + "/golden/flink-1.20-goldens.tgz";
  if (!io::Exists(archive)) GTEST_SKIP() << "no snapshots of Flink: " << archive;
  const io::TempDirectory directory = io::TempDirectory::Create("file-sink-goldens").value();
  const std::string command = "tar xzf '" + archive + "' -C '" + directory.path() + "'";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  int committers = 0;
  int writers = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path())) {
    if (entry.path().filename() != "_metadata" ||
        entry.path().string().find("/filesink/") == std::string::npos) {
      continue;
    }
    const auto metadata = snapshot::ParseMetadata(io::ReadFile(entry.path().string()).value());
    ASSERT_TRUE(metadata.ok()) << metadata.status();
    for (const snapshot::OperatorSnapshot& op : metadata->operators) {
      for (const auto& [index, subtask] : op.subtasks) {
        if (!subtask.managed_operator_state.has_value()) continue;
        const auto bytes = snapshot::ReadStream(subtask.managed_operator_state->stream,
                                                entry.path().parent_path().string());
        ASSERT_TRUE(bytes.ok()) << bytes.status();
        const auto states =
            snapshot::ReadOperatorStateStream(*bytes, *subtask.managed_operator_state);
        ASSERT_TRUE(states.ok()) << states.status();
        for (const snapshot::OperatorState& state : *states) {
          for (const std::string& element : state.elements) {
            if (state.name == kCommitterState) {
              const auto read = DecodeCommitterState(element);
              ASSERT_TRUE(read.ok()) << read.status();
              // Each savepoint of the job has the earlier ones, too, and asks to clean up after
              // them.
              ASSERT_EQ(read->size(), static_cast<size_t>(metadata->checkpoint_id));
              for (size_t i = 0; i < read->size(); ++i) {
                const CheckpointCommittables& checkpoint = (*read)[i];
                EXPECT_EQ(checkpoint.checkpoint_id, static_cast<int64_t>(i) + 1);
                EXPECT_EQ(checkpoint.subtasks, 2);
                ASSERT_EQ(checkpoint.by_subtask.size(), 1u);
                EXPECT_EQ(checkpoint.by_subtask[0].subtask, index);
                ASSERT_EQ(checkpoint.by_subtask[0].requests.size(), i == 0 ? 0u : 1u);
                for (const CommitRequest& request : checkpoint.by_subtask[0].requests) {
                  EXPECT_FALSE(request.committable.pending.has_value());
                  EXPECT_TRUE(request.committable.cleanup.has_value());
                }
              }
              EXPECT_EQ(EncodeCommitterState(*read), element);
              ++committers;
            } else if (state.name == kWriterState) {
              const auto read = DecodeBucketState(element);
              ASSERT_TRUE(read.ok()) << read.status();
              EXPECT_EQ(read->path, "file:/srv/gold/out/filesink");
              ASSERT_TRUE(read->in_progress.has_value());
              EXPECT_EQ(read->in_progress->target_uri, "file:" + read->in_progress->file.target);
              EXPECT_EQ(EncodeBucketState(*read), element);
              ++writers;
            }
          }
        }
      }
    }
  }
  EXPECT_EQ(committers, 8);
  EXPECT_EQ(writers, 8);
}

}  // namespace
}  // namespace flink::file
