#include "common/io/checksum.h"

#include <fcntl.h>
#include <unistd.h>
#if defined(__x86_64__)
// Chooses AVX2 or AVX-512 at run time, for the same result.
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#include <cerrno>
#include <cstring>
#include <vector>

namespace flink::io {
namespace {
/// Stays in the cache of a core while it is read and hashed.
constexpr size_t kBufferBytes = 256 << 10;
}  // namespace

uint64_t Checksum64(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

struct Checksum64Stream::State {
  XXH3_state_t* state = XXH3_createState();
  ~State() { XXH3_freeState(state); }
};

Checksum64Stream::Checksum64Stream() : state_(std::make_unique<State>()) {
  XXH3_64bits_reset(state_->state);
}
Checksum64Stream::~Checksum64Stream() = default;

void Checksum64Stream::Update(std::string_view bytes) {
  XXH3_64bits_update(state_->state, bytes.data(), bytes.size());
}

uint64_t Checksum64Stream::Digest() const { return XXH3_64bits_digest(state_->state); }

StatusOr<uint64_t> Checksum64OfFile(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NotFound("cannot open {}: {}", path, std::strerror(errno));
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  Checksum64Stream checksum;
  std::vector<char> buffer(kBufferBytes);
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      ::close(fd);
      return Unavailable("cannot read {}: {}", path, std::strerror(error));
    }
    if (n == 0) break;
    checksum.Update({buffer.data(), static_cast<size_t>(n)});
  }
  ::close(fd);
  return checksum.Digest();
}

}  // namespace flink::io
