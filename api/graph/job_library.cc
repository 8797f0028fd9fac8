#include "api/graph/job_library.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "flink/job.h"

namespace flink::graph {
namespace {

Status CheckFile(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return NotFound("job library {} does not exist: check the path", path);
    }
    return FailedPrecondition("job library {} cannot be read: {}", path, std::strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) {
    return InvalidArgument("{} is not a file: give the path of a job's shared library", path);
  }
  if (::access(path.c_str(), R_OK) != 0) {
    return FailedPrecondition("job library {} cannot be read: {}", path, std::strerror(errno));
  }
  return OkStatus();
}

std::string LoadError() {
  const char* text = ::dlerror();
  return text == nullptr ? "unknown error" : text;
}

}  // namespace

StatusOr<JobLibrary> JobLibrary::Load(const std::string& path) {
  RETURN_IF_ERROR(CheckFile(path));
  // Without a slash the loader would search its own directories.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const std::string error = LoadError();
    for (const char* sign : {"invalid ELF header", "file too short", "cannot dynamically load"}) {
      if (error.find(sign) != std::string::npos) {
        return InvalidArgument(
            "{} is not a shared library: build the job as one (CMake: add_library(job MODULE ...))",
            path);
      }
    }
    if (error.find("undefined symbol") != std::string::npos) {
      return InvalidArgument(
          "job library {} does not fit this installation ({}): build it again against its headers "
          "and libflink",
          path, error);
    }
    return InvalidArgument("job library {} cannot be loaded: {}", path, error);
  }
  const auto* entry = static_cast<const internal::JobEntry*>(::dlsym(handle, "flink_job_entry"));
  if (entry == nullptr || std::memcmp(entry->magic, FLINK_JOB_MAGIC, sizeof entry->magic) != 0) {
    return InvalidArgument(
        "{} is a shared library but not a job: it has no FLINK_JOB(env, args) entry", path);
  }
  if (std::strcmp(entry->fingerprint, FLINK_ABI_FINGERPRINT) != 0) {
    return InvalidArgument(
        "job library {} was built against other headers than this installation's (it has {}, "
        "needed is {}): build it "
        "again",
        path, entry->fingerprint, FLINK_ABI_FINGERPRINT);
  }
  return JobLibrary(path, entry);
}

StatusOr<StreamGraph> JobLibrary::Describe(const std::vector<std::string>& args,
                                           const std::string& working_directory) const {
  StreamExecutionEnvironment env;
  env.SetWorkingDirectory(working_directory);
  try {
    entry_->describe(env, args);
  } catch (const std::exception& e) {
    return InvalidArgument("the program of job library {} failed: {}", path_, e.what());
  } catch (...) {
    return InvalidArgument(
        "the program of job library {} threw something that is no std::exception", path_);
  }
  return env.stream_graph();
}

}  // namespace flink::graph
