#pragma once

/// ArtifactStream: the answer to one FetchArtifact call.

#include <grpcpp/grpcpp.h>

#include <string>

#include "common/base/status.h"
#include "flink/pb/cluster/v1/cluster.pb.h"

namespace flink::jobmanager {

/// Size of a chunk. Bytes.
inline constexpr size_t kArtifactChunkBytes = 1 << 20;

/// Sends a file in chunks and deletes itself when the call is over. An empty file is one empty
/// chunk.
class ArtifactStream : public grpc::ServerWriteReactor<pb::cluster::v1::ArtifactChunk> {
 public:
  /// `path` is an error when there is no such artifact; the caller of FetchArtifact gets that
  /// error.
  explicit ArtifactStream(const StatusOr<std::string>& path);
  ~ArtifactStream() override;

 private:
  void OnWriteDone(bool ok) override;
  void OnDone() override;
  /// Reads the next chunk and starts its write, or finishes the call.
  void SendNext();

  std::string path_;
  int fd_ = -1;
  bool sent_any_ = false;
  pb::cluster::v1::ArtifactChunk chunk_;
};

}  // namespace flink::jobmanager
