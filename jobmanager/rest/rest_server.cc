#include "jobmanager/rest/rest_server.h"

#include <httplib.h>

#include <charconv>
#include <thread>
#include <vector>

#include "common/base/logging.h"
#include "common/concurrency/mailbox.h"
#include "common/config/options.h"
#include "jobmanager/rest/rest_handlers.h"

namespace flink::jobmanager {
namespace {

constexpr size_t kThreads = 8;
constexpr char kContentType[] = "application/json; charset=UTF-8";
constexpr int kMaxPort = 65535;

StatusOr<int> ParsePort(std::string_view text, const ConfigOption& option) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  int port = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 0 || port > kMaxPort) {
    return InvalidArgument("{} contains \"{}\", which is not a port (0 to {})", option.key, text,
                           kMaxPort);
  }
  return port;
}

// "8081", "8081,8090" or "50100-50200".
StatusOr<std::vector<int>> ParsePorts(const std::string& text, const ConfigOption& option) {
  std::vector<int> ports;
  size_t begin = 0;
  while (begin <= text.size()) {
    size_t end = text.find(',', begin);
    if (end == std::string::npos) end = text.size();
    const std::string part = text.substr(begin, end - begin);
    const size_t dash = part.find('-');
    ASSIGN_OR_RETURN(const int first, ParsePort(part.substr(0, dash), option));
    int last = first;
    if (dash != std::string::npos) {
      ASSIGN_OR_RETURN(last, ParsePort(part.substr(dash + 1), option));
    }
    for (int port = first; port <= last; ++port) ports.push_back(port);
    begin = end + 1;
  }
  return ports;
}

RestRequest Convert(const httplib::Request& from) {
  RestRequest request;
  request.method = from.method;
  request.path = from.path;
  request.query.insert(from.params.begin(), from.params.end());
  request.body = from.body;
  for (const auto& [name, file] : from.files) {
    request.files.push_back({name, file.filename, file.content});
  }
  return request;
}

/// Every request goes to the router, which outlives the server.
void AnswerWith(const RestRouter& router, httplib::Server& server) {
  const auto handle = [&router](const httplib::Request& from, httplib::Response& to) {
    const RestResponse response = router.Route(Convert(from));
    to.status = response.status;
    to.set_header("Access-Control-Allow-Origin", "*");
    to.set_content(response.body, kContentType);
  };
  server.Get(".*", handle).Post(".*", handle).Put(".*", handle).Patch(".*", handle);
  server.Delete(".*", handle).Options(".*", handle);
  // The library reads a body without a length until the connection falls silent. There is none:
  // RFC 9112, section 6.3.
  server.set_pre_routing_handler([handle](const httplib::Request& from, httplib::Response& to) {
    const bool may_have_body = from.method == "POST" || from.method == "PUT" ||
                               from.method == "PATCH" || from.method == "DELETE";
    if (!may_have_body || from.has_header("Content-Length") ||
        from.has_header("Transfer-Encoding")) {
      return httplib::Server::HandlerResponse::Unhandled;
    }
    handle(from, to);
    return httplib::Server::HandlerResponse::Handled;
  });
  server.set_error_handler([](const httplib::Request& from, httplib::Response& to) {
    if (!to.body.empty()) return;
    const std::string text = to.status == 413
                                 ? "The request is larger than rest.server.max-content-length."
                                 : "The request for " + from.path + " cannot be understood.";
    to.set_header("Access-Control-Allow-Origin", "*");
    to.set_content(PlainErrorResponse(to.status, {text}).body, kContentType);
  });
}

}  // namespace

struct RestServer::Impl {
  httplib::Server server;
  RestRouter router;
  int port = 0;
  std::thread thread;
};

RestServer::RestServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

RestServer::~RestServer() {
  impl_->server.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
}

int RestServer::port() const { return impl_->port; }

StatusOr<std::unique_ptr<RestServer>> RestServer::Start(const Configuration& configuration,
                                                        Dispatcher* dispatcher) {
  auto impl = std::make_unique<Impl>();
  const DispatcherGateway gateway(dispatcher);
  AddClusterHandlers(gateway, impl->router);
  AddJobHandlers(gateway, impl->router);
  AddOperationHandlers(gateway, impl->router);
  AddSubmitHandler(gateway, impl->router);
  httplib::Server& server = impl->server;
  AnswerWith(impl->router, server);
  ASSIGN_OR_RETURN(const int64_t max_content, configuration.GetInt(options::kRestMaxContentLength));
  server.set_payload_max_length(static_cast<size_t>(max_content));
  server.set_tcp_nodelay(true);
  // Idle connections must not hold up the end of the server for long.
  server.set_keep_alive_timeout(1);
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  // Only SO_REUSEADDR: with the library's default, SO_REUSEPORT, two JobManagers would share the
  // port.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });

  const bool has_bind_port = configuration.Contains(options::kRestBindPort);
  const ConfigOption& option = has_bind_port ? options::kRestBindPort : options::kRestPort;
  const std::string port_text = configuration.GetString(option);
  ASSIGN_OR_RETURN(const std::vector<int> ports, ParsePorts(port_text, option));
  const std::string address = configuration.GetString(options::kRestBindAddress);
  for (const int port : ports) {
    if (port == 0) {
      impl->port = server.bind_to_any_port(address);
      if (impl->port < 0) impl->port = 0;
    } else if (server.bind_to_port(address, port)) {
      impl->port = port;
    }
    if (impl->port != 0) break;
  }
  if (impl->port == 0) {
    return Unavailable(
        "The REST server cannot listen on {}:{}: the port is in use or the address is not of this "
        "machine. Set {} to a free "
        "port (0 takes any), or {} to an address of this machine.",
        address, port_text, option.key, options::kRestBindAddress.key);
  }
  impl->thread = std::thread([&server] {
    SetCurrentThreadName("rest");
    server.listen_after_bind();
  });
  // A server that is stopped before it runs would run for ever; the library offers no condition to
  // wait for.
  while (!server.is_running()) std::this_thread::yield();
  LOG_INFO("Rest endpoint listening at {}:{}", address, impl->port);
  return std::unique_ptr<RestServer>(new RestServer(std::move(impl)));
}

}  // namespace flink::jobmanager
