#include "tests/integration/state_types.h"

#include <fmt/format.h>

#include <bit>
#include <functional>
#include <map>

namespace flink::testing {
namespace {

using nlohmann::json;

constexpr int64_t kFarFutureMs = 4'102'444'800'000;

std::string Name(int n) {
  static const char* const kTails[] = {"", "-é", "-€uro", "-😀", "-漢字"};
  return "key-" + std::to_string(n) + kTails[n % 5];
}

std::string Bits(float v) { return fmt::format("0x{:08x}", std::bit_cast<uint32_t>(v)); }
std::string Bits(double v) { return fmt::format("0x{:016x}", std::bit_cast<uint64_t>(v)); }

json State(const std::string& name, const std::string& type, int keys,
           const std::function<json(int)>& key, const std::function<json(int)>& value) {
  json entries = json::array();
  for (int n = 0; n < keys; ++n) {
    if (json v = value(n); !v.is_null()) entries.push_back({{"key", key(n)}, {"value", v}});
  }
  return {{"name", name}, {"kind", "VALUE"},         {"type", type},
          {"ttl", false}, {"namespaceType", "Void"}, {"entries", std::move(entries)}};
}

json Timers(int keys, const std::function<json(int)>& key, const std::function<int64_t(int)>& event,
            const std::function<int64_t(int)>& processing) {
  const auto list = [&](const std::function<int64_t(int)>& time) {
    json timers = json::array();
    for (int n = 0; n < keys; ++n) {
      if (time(n) != 0) timers.push_back({{"key", key(n)}, {"time", time(n)}});
    }
    return timers;
  };
  return json::array({{{"service", "user-timers"},
                       {"namespaceType", "Void"},
                       {"event", list(event)},
                       {"processing", list(processing)}}});
}

json Operator(const std::string& uid, const std::string& key_type, int parallelism,
              int max_parallelism, json states, json timers) {
  return {{"uid", uid},
          {"what", "keyed"},
          {"parallelism", parallelism},
          {"maxParallelism", max_parallelism},
          {"keyType", key_type},
          {"states", std::move(states)},
          {"timers", std::move(timers)}};
}

int64_t None(int) { return 0; }

json StatesByLong(int keys) {
  const auto key = [](int n) -> json { return n * 3; };
  const auto state = [&](const std::string& name, const std::string& type,
                         const std::function<json(int)>& value) {
    return State(name, type, keys, key, value);
  };
  return {
      state("v-long", "Long", [](int n) -> json { return n * int64_t{1'000'000'007} - 3; }),
      state("v-int", "Integer", [](int n) -> json { return n - 50; }),
      state("v-short", "Short", [](int n) -> json { return -n; }),
      state("v-byte", "Byte", [](int n) -> json { return n % 100; }),
      state("v-bool", "Boolean", [](int n) -> json { return n % 2 == 0; }),
      state("v-float", "Float", [](int n) -> json { return Bits(static_cast<float>(n) / 4); }),
      state("v-double", "Double",
            [](int n) -> json { return Bits(static_cast<double>(n) / 8 - 1); }),
      state("v-string", "String", [](int n) -> json { return Name(n); }),
      state("v-bytes", "byte[]",
            [](int n) -> json {
              std::string hex;
              for (int i = 0; i < n % 7; ++i) hex += "80";
              return hex;
            }),
      state("v-list", "List<String>",
            [](int n) -> json {
              return {Name(n), Name(n + 1)};
            }),
      state("v-map", "Map<String,Integer>",
            [](int n) -> json {
              return json::array({{"a", n}, {Name(n), 7}});
            }),
      state("v-tuple", "Tuple3<Integer,String,Boolean>",
            [](int n) -> json {
              return {n, Name(n), n % 3 == 0};
            }),
      state("v-person", "Tuple3<Long,String,Double>",
            [](int n) -> json {
              return {n, Name(n), Bits(static_cast<double>(n))};
            }),
      state("v-nested", "Tuple2<Tuple2<String,Integer>,Tuple3<Long,String,Double>>",
            [](int n) -> json {
              return json::array({json::array({Name(n), 1}), json::array({n, "x", Bits(0.5)})});
            }),
      state("sparse", "Long", [](int n) { return n % 5 == 0 ? json(n) : json(); }),
      state("cleared", "Long", [](int) { return json(); }),
  };
}

std::string LineByLong(int n) {
  const std::string name = Name(n);
  return fmt::format(
      "{}|{}|{}|{}|{}|{}|{}|{}|{}|[{}, {}]|{{a={}, "
      "{}=7}}|({},{},{})|({},{},{})|(({},1),({},x,0.5))|"
      "{}|-1",
      n * int64_t{1'000'000'007} - 3, n - 50, -n, n % 100, n % 2 == 0,
      fmt::format("{:g}", static_cast<double>(n) / 4),
      fmt::format("{:g}", static_cast<double>(n) / 8 - 1), name, n % 7, name, Name(n + 1), n, name,
      n, name, n % 3 == 0, n, name, n, name, n, n % 5 == 0 ? n : -1);
}

}  // namespace

json ExpectedStates(int keys, int parallelism) {
  const auto by_long = [](int n) -> json { return n * 3; };
  const auto by_string = [](int n) -> json { return Name(n); };
  const auto by_tuple = [](int n) -> json { return {Name(n % 10), n}; };
  json operators = json::array();
  operators.push_back(Operator("by-long", "Long", parallelism, 128, StatesByLong(keys),
                               Timers(
                                   keys, by_long, [](int n) { return kFarFutureMs + n; },
                                   [](int n) { return n % 2 == 0 ? kFarFutureMs - n : 0; })));
  operators.push_back(Operator(
      "by-string", "String", parallelism, 128,
      json::array({State("value", "Long", keys, by_string, [](int n) -> json { return n; })}),
      Timers(
          keys, by_string, [](int) { return kFarFutureMs; }, None)));
  operators.push_back(Operator(
      "by-tuple", "Tuple2<String,Integer>", parallelism, 4096,
      json::array(
          {State("value", "String", keys, by_tuple, [](int n) -> json { return Name(n); })}),
      Timers(keys, by_tuple, None, [](int n) { return kFarFutureMs + n; })));
  return {{"operators", std::move(operators)}};
}

std::set<std::string> ExpectedLines(int keys) {
  std::set<std::string> lines;
  for (int n = 0; n < keys; ++n) {
    lines.insert(LineByLong(n));
    lines.insert("string|" + std::to_string(n));
    lines.insert("tuple|" + Name(n));
  }
  return lines;
}

}  // namespace flink::testing
