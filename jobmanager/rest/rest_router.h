#pragma once

/// RestRouter: which handler answers which path.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "jobmanager/rest/rest_response.h"

namespace flink::jobmanager {

using RestHandler = std::function<RestResponse(const RestRequest&)>;

/// Filled once, then immutable and thread-safe. Empty segments of a path count for nothing, and
/// "/v1" before it may be left out.
class RestRouter {
 public:
  /// `pattern`: "/jobs/:jobid/savepoints/:triggerid". A pattern without parameters wins over one
  /// with.
  void Add(const std::string& method, const std::string& pattern, RestHandler handler);
  /// Fills in `parameters` and runs the handler; 404 when there is none.
  RestResponse Route(RestRequest request) const;

 private:
  struct Entry {
    std::string method;
    std::vector<std::string> segments;
    RestHandler handler;
  };
  std::vector<Entry> routes_;
};

}  // namespace flink::jobmanager
