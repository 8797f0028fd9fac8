#pragma once

/// Backends whose canonical streams tests look at. One thread.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/concurrency/mailbox.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "taskmanager/state/keyed_state_backend.h"

namespace flink::taskmanager {

class CanonicalHarness {
 public:
  std::unique_ptr<KeyedStateBackend> Open(KeyGroupRange range, int max_parallelism,
                                          std::vector<KeyedRestoreInput> restore = {}) {
    KeyedStateBackend::Options options;
    options.directory = directory_.File("backend");
    options.operator_id = std::string(32, 'a');
    options.operator_name = "operator";
    options.key_groups = range;
    options.max_parallelism = max_parallelism;
    options.restore = std::move(restore);
    options.inline_threshold_bytes = 1 << 20;
    options.post = [this](Mail mail) { mailbox_.Post(std::move(mail)); };
    auto backend = KeyedStateBackend::Create(std::move(options));
    EXPECT_TRUE(backend.ok()) << Message(backend.status());
    return backend.ok() ? std::move(backend).value() : nullptr;
  }

  /// The canonical stream that the backend writes now, inline.
  snapshot::KeyGroupsHandle Take(KeyedStateBackend& backend) {
    KeyedSnapshotRequest request;
    request.checkpoint_id = 1;
    request.format = SnapshotFormat::kCanonical;
    request.exclusive_directory = directory_.File("savepoint");
    EXPECT_TRUE(io::CreateDirectories(request.exclusive_directory).ok());
    std::optional<StatusOr<KeyedSnapshotResult>> result;
    backend.BeginSnapshot(request, [&](StatusOr<KeyedSnapshotResult> r) { result = std::move(r); });
    while (backend.AdvanceSnapshot()) {
    }
    mailbox_.RunUntil([&] { return result.has_value(); });
    EXPECT_TRUE(result->ok()) << Message(result->status());
    return std::get<snapshot::KeyGroupsHandle>((*result)->handle);
  }

  static std::string BytesOf(const snapshot::KeyGroupsHandle& handle) {
    return std::get<snapshot::InlineHandle>(handle.stream).bytes;
  }

  std::string File(const std::string& name) const { return directory_.File(name); }
  const std::string& directory() const { return directory_.path(); }

 private:
  io::TempDirectory directory_ = io::TempDirectory::Create("canonical").value();
  Mailbox mailbox_;
};

}  // namespace flink::taskmanager
