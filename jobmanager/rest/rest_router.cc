#include "jobmanager/rest/rest_router.h"

#include <algorithm>

namespace flink::jobmanager {
namespace {

std::vector<std::string> SegmentsOf(const std::string& path) {
  std::vector<std::string> segments;
  for (size_t begin = 0; begin < path.size();) {
    size_t end = path.find('/', begin);
    if (end == std::string::npos) end = path.size();
    if (end > begin) segments.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return segments;
}

bool IsParameter(const std::string& segment) { return segment[0] == ':'; }

}  // namespace

void RestRouter::Add(const std::string& method, const std::string& pattern, RestHandler handler) {
  Entry entry{method, SegmentsOf(pattern), std::move(handler)};
  const auto parameters = [](const Entry& e) {
    return std::count_if(e.segments.begin(), e.segments.end(), IsParameter);
  };
  const auto place = std::find_if(routes_.begin(), routes_.end(), [&](const Entry& other) {
    return parameters(other) > parameters(entry);
  });
  routes_.insert(place, std::move(entry));
}

RestResponse RestRouter::Route(RestRequest request) const {
  std::vector<std::string> segments = SegmentsOf(request.path);
  if (!segments.empty() && segments.front() == "v1") segments.erase(segments.begin());
  for (const Entry& route : routes_) {
    if (route.method != request.method || route.segments.size() != segments.size()) continue;
    std::map<std::string, std::string> parameters;
    bool matches = true;
    for (size_t i = 0; matches && i < segments.size(); ++i) {
      if (IsParameter(route.segments[i])) {
        parameters[route.segments[i].substr(1)] = segments[i];
      } else {
        matches = route.segments[i] == segments[i];
      }
    }
    if (!matches) continue;
    request.parameters = std::move(parameters);
    return route.handler(request);
  }
  return NoRouteResponse(request);
}

}  // namespace flink::jobmanager
