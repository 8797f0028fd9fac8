#include "taskmanager/rpc/artifact_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/base/logging.h"
#include "common/io/checksum.h"
#include "common/io/file_system.h"
#include "flink/pb/cluster/v1/cluster.grpc.pb.h"
#include "rpc/channel_factory.h"

namespace flink::taskmanager {
namespace {

bool IsDigest(const std::string& text) {
  return text.size() == 16 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Status WriteAll(int fd, const std::string& bytes, const std::string& path) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = write(fd, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Unavailable("cannot write {}: {}", path, strerror(errno));
    done += static_cast<size_t>(count);
  }
  return OkStatus();
}

}  // namespace

ArtifactCache::ArtifactCache(std::string directory, Mailbox* main, WorkerPool* workers)
    : directory_(std::move(directory)), main_(main), workers_(workers) {}

void ArtifactCache::Fetch(const std::shared_ptr<grpc::Channel>& channel, const std::string& digest,
                          Done done) {
  if (!IsDigest(digest)) {
    main_->Post([done = std::move(done), digest] {
      done(InvalidArgument("not the digest of a job library: \"{}\"", digest));
    });
    return;
  }
  const auto [entry, is_new] = artifacts_.try_emplace(digest);
  Artifact& artifact = entry->second;
  if (!artifact.path.empty()) {
    ++artifact.users;
    main_->Post([done = std::move(done), path = artifact.path] { done(path); });
    return;
  }
  artifact.waiting.push_back(std::move(done));
  if (!is_new) return;
  workers_->Submit([this, channel, digest] {
    const std::string path = io::JoinPath(directory_, digest + ".so");
    const Status status = Transfer(channel, digest, path);
    StatusOr<std::string> result = path;
    if (!status.ok()) result = With(status, "fetching job library {} from the JobManager", digest);
    main_->Post([this, digest, result] { OnFetched(digest, result); });
  });
}

void ArtifactCache::OnFetched(const std::string& digest, const StatusOr<std::string>& path) {
  const auto entry = artifacts_.find(digest);
  std::vector<Done> waiting = std::move(entry->second.waiting);
  entry->second.waiting.clear();
  if (path.ok()) {
    entry->second.path = *path;
    entry->second.users = static_cast<int>(waiting.size());
  } else {
    artifacts_.erase(entry);
  }
  for (const Done& done : waiting) done(path);
}

void ArtifactCache::Release(const std::string& digest) {
  const auto entry = artifacts_.find(digest);
  if (entry == artifacts_.end() || --entry->second.users > 0) return;
  entry->second.released = ++releases_;
  RemoveUnused();
}

void ArtifactCache::RemoveUnused() {
  for (;;) {
    size_t unused = 0;
    auto oldest = artifacts_.end();
    for (auto i = artifacts_.begin(); i != artifacts_.end(); ++i) {
      if (i->second.users > 0 || i->second.path.empty()) continue;
      ++unused;
      if (oldest == artifacts_.end() || i->second.released < oldest->second.released) oldest = i;
    }
    if (unused <= kMaxUnused) return;
    IgnoreError(io::RemoveFile(oldest->second.path), "the directory goes as a whole at the end");
    artifacts_.erase(oldest);
  }
}

void ArtifactCache::Cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* context : transfers_) context->TryCancel();
}

Status ArtifactCache::Transfer(const std::shared_ptr<grpc::Channel>& channel,
                               const std::string& digest, const std::string& path) {
  const std::string temporary = io::JoinPath(directory_, "." + digest + ".part");
  Status status = Receive(channel, digest, temporary);
  if (status.ok()) {
    const StatusOr<uint64_t> checksum = io::Checksum64OfFile(temporary);
    if (!checksum.ok()) {
      status = checksum.status();
    } else if (fmt::format("{:016x}", *checksum) != digest) {
      status = DataLoss("what arrived has the digest {:016x}", *checksum);
    }
  }
  if (status.ok()) status = io::RenameFile(temporary, path);
  if (!status.ok()) IgnoreError(io::RemoveFile(temporary), "the first error counts");
  return status;
}

Status ArtifactCache::Receive(const std::shared_ptr<grpc::Channel>& channel,
                              const std::string& digest, const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Unavailable("cannot create {}: {}", path, strerror(errno));
  grpc::ClientContext context;
  {
    std::lock_guard lock(mutex_);
    if (cancelled_) context.TryCancel();
    transfers_.insert(&context);
  }
  pb::cluster::v1::FetchArtifactRequest request;
  request.set_digest(digest);
  const auto stub = pb::cluster::v1::JobManagerGateway::NewStub(channel);
  const auto stream = stub->FetchArtifact(&context, request);
  pb::cluster::v1::ArtifactChunk chunk;
  Status status = OkStatus();
  while (stream->Read(&chunk)) {
    if (!status.ok()) continue;  // until the cancelled stream ends
    status = WriteAll(fd, chunk.data(), path);
    if (!status.ok()) context.TryCancel();
  }
  const Status end = FromGrpc(stream->Finish());
  {
    std::lock_guard lock(mutex_);
    transfers_.erase(&context);
  }
  if (status.ok()) status = end;
  if (close(fd) != 0 && status.ok()) {
    status = Unavailable("cannot write {}: {}", path, strerror(errno));
  }
  return status;
}

}  // namespace flink::taskmanager
