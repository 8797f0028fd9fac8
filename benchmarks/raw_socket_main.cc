// The yardstick for the record exchange: two processes and a socket, nothing else. The parent makes
// 16-byte records (two big-endian 64-bit numbers) in 32 KiB buffers and writes them; the child
// reads them, adds the numbers up and prints records, sum and the CPU seconds of both processes.
//
//   raw_socket RECORDS

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr size_t kRecordBytes = 16;
constexpr size_t kBufferRecords = 2048;

double CpuSeconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

uint64_t Load(const char* at) {
  uint64_t v;
  std::memcpy(&v, at, sizeof v);
  return __builtin_bswap64(v);
}
void Store(char* at, uint64_t v) {
  v = __builtin_bswap64(v);
  std::memcpy(at, &v, sizeof v);
}

bool ReadFully(int fd, char* data, size_t n) {
  while (n > 0) {
    const ssize_t got = read(fd, data, n);
    if (got <= 0) return false;
    data += got;
    n -= static_cast<size_t>(got);
  }
  return true;
}

void Receive(int fd) {
  std::vector<char> buffer(kRecordBytes * kBufferRecords);
  uint64_t records = 0;
  uint64_t sum = 0;
  while (true) {
    uint32_t bytes = 0;
    if (!ReadFully(fd, reinterpret_cast<char*>(&bytes), sizeof bytes) || bytes == 0) break;
    if (!ReadFully(fd, buffer.data(), bytes)) break;
    for (size_t at = 0; at < bytes; at += kRecordBytes)
      sum += Load(&buffer[at]) + Load(&buffer[at + 8]);
    records += bytes / kRecordBytes;
  }
  std::printf("%llu %llu %.3f\n", static_cast<unsigned long long>(records),
              static_cast<unsigned long long>(sum), CpuSeconds(RUSAGE_SELF));
}

void Send(int fd, uint64_t total) {
  std::vector<char> buffer(4 + kRecordBytes * kBufferRecords);
  for (uint64_t next = 0; next < total;) {
    char* at = buffer.data() + 4;
    for (size_t i = 0; i < kBufferRecords && next < total; ++i, ++next, at += kRecordBytes) {
      Store(at, next);
      Store(at + 8, 1);
    }
    const auto bytes = static_cast<uint32_t>(at - buffer.data() - 4);
    std::memcpy(buffer.data(), &bytes, sizeof bytes);
    const char* from = buffer.data();
    size_t left = bytes + 4;
    while (left > 0) {
      const ssize_t put = write(fd, from, left);
      if (put < 0) std::exit(1);
      from += put;
      left -= static_cast<size_t>(put);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t total = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100'000'000;
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return 1;
  const pid_t child = fork();
  if (child == 0) {
    close(fds[0]);
    Receive(fds[1]);
    std::fflush(stdout);
    _exit(0);
  }
  close(fds[1]);
  Send(fds[0], total);
  close(fds[0]);
  waitpid(child, nullptr, 0);
  std::printf("cpu %.3f\n", CpuSeconds(RUSAGE_SELF) + CpuSeconds(RUSAGE_CHILDREN));
  return 0;
}
