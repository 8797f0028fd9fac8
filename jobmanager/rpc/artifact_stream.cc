#include "jobmanager/rpc/artifact_stream.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "rpc/channel_factory.h"

namespace flink::jobmanager {

ArtifactStream::ArtifactStream(const StatusOr<std::string>& path) {
  if (!path.ok()) {
    Finish(ToGrpc(path.status()));
    return;
  }
  path_ = *path;
  fd_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) {
    Finish(ToGrpc(NotFound("cannot open the job library {}: {}", path_, strerror(errno))));
    return;
  }
  SendNext();
}

ArtifactStream::~ArtifactStream() {
  if (fd_ >= 0) close(fd_);
}

void ArtifactStream::SendNext() {
  std::string& data = *chunk_.mutable_data();
  data.resize(kArtifactChunkBytes);
  ssize_t count;
  do {
    count = read(fd_, data.data(), data.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    Finish(ToGrpc(Unavailable("cannot read the job library {}: {}", path_, strerror(errno))));
    return;
  }
  if (count == 0 && sent_any_) {
    Finish(grpc::Status::OK);
    return;
  }
  data.resize(static_cast<size_t>(count));
  sent_any_ = true;
  StartWrite(&chunk_);
}

void ArtifactStream::OnWriteDone(bool ok) {
  if (ok) {
    SendNext();
  } else {
    Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the receiver has gone"));
  }
}

void ArtifactStream::OnDone() { delete this; }

}  // namespace flink::jobmanager
