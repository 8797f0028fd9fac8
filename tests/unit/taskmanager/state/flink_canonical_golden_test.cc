// Canonical savepoints that Apache Flink 1.20 wrote: read, and written again to the same bytes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/graph/operator_id.h"
#include "common/io/file_system.h"
#include "common/snapshot/metadata.h"
#include "flink/internal/string_value.h"
#include "flink/state/timer_queue.h"
#include "flink/state/value_table.h"
#include "taskmanager/state/canonical_format.h"
#include "taskmanager/state/keyed_state_backend.h"
#include "taskmanager/state/keyed_state_restore.h"
#include "tests/unit/taskmanager/state/canonical_harness.h"

namespace flink::taskmanager {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using snapshot::KeyGroupsHandle;

// ---- Values of expected.json --------------------------------------------------------------------

/// A private character that stands in front of the four digits of a lone surrogate, which the JSON
/// library does not take.
constexpr char kLoneSurrogate[] = "\xEE\x84\xA3";  // U+E123

/// Writes \udXXX that is no half of a pair as that mark.
std::string MarkLoneSurrogates(const std::string& text) {
  std::string out;
  const auto surrogate = [&text](size_t at, char low, char high) {
    return at + 6 <= text.size() && text[at] == '\\' && text[at + 1] == 'u' &&
           std::toupper(text[at + 2]) == 'D' && std::toupper(text[at + 3]) >= low &&
           std::toupper(text[at + 3]) <= high;
  };
  for (size_t i = 0; i < text.size();) {
    if (surrogate(i, '8', 'B') && surrogate(i + 6, 'C', 'F')) {
      out.append(text, i, 12);
      i += 12;
    } else if (surrogate(i, '8', 'F')) {
      out += kLoneSurrogate + text.substr(i + 2, 4);
      i += 6;
    } else if (text[i] == '\\') {
      out.append(text, i, 2);
      i += 2;
    } else {
      out += text[i++];
    }
  }
  return out;
}

std::string ToString(const json& value) {
  std::string text = value.get<std::string>();
  for (size_t at = 0; (at = text.find(kLoneSurrogate, at)) != std::string::npos;) {
    std::string surrogate;
    internal::AppendUtf8(surrogate,
                         static_cast<uint32_t>(std::stoul(text.substr(at + 3, 4), nullptr, 16)));
    text.replace(at, 7, surrogate);
  }
  return text;
}

template <class T>
struct FromJson;
template <class T>
T Parse(const json& value) {
  return FromJson<T>::Of(value);
}
template <class T>
requires std::is_integral_v<T>
struct FromJson<T> {
  static T Of(const json& value) { return value.get<T>(); }
};
template <>
struct FromJson<float> {
  static float Of(const json& value) {
    return std::bit_cast<float>(
        static_cast<uint32_t>(std::stoul(value.get<std::string>(), nullptr, 16)));
  }
};
template <>
struct FromJson<double> {
  static double Of(const json& value) {
    return std::bit_cast<double>(
        static_cast<uint64_t>(std::stoull(value.get<std::string>(), nullptr, 16)));
  }
};
template <>
struct FromJson<std::string> {
  static std::string Of(const json& value) { return ToString(value); }
};
template <>
struct FromJson<Bytes> {
  static Bytes Of(const json& value) {
    const auto hex = value.get<std::string>();
    Bytes bytes;
    for (size_t i = 0; i < hex.size(); i += 2) {
      bytes.data.push_back(static_cast<char>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    }
    return bytes;
  }
};
template <class... F>
struct FromJson<std::tuple<F...>> {
  static std::tuple<F...> Of(const json& value) {
    return Of(value, std::index_sequence_for<F...>{});
  }

 private:
  template <size_t... I>
  static std::tuple<F...> Of(const json& value, std::index_sequence<I...>) {
    return {Parse<F>(value[I])...};
  }
};
template <class E>
struct FromJson<std::vector<E>> {
  static std::vector<E> Of(const json& value) {
    std::vector<E> list;
    for (const json& element : value) list.push_back(Parse<E>(element));
    return list;
  }
};

// ---- The test -----------------------------------------------------------------------------------

class FlinkCanonicalGolden : public ::testing::Test {
 protected:
  /// One keyed stream of one subtask, as Flink wrote it.
  struct Stream {
    std::string directory;
    OperatorId op;
    int max_parallelism = 0;
    KeyGroupsHandle handle;
    std::string bytes;
    bool compressed = false;
    std::string Where() const { return directory + " operator " + op.ToHex(); }
  };

  void SetUp() override {
    const std::string archives = std::string(FLINK_SHARED_DIR) + "/golden";
    if (!io::IsDirectory(archives)) GTEST_SKIP() << "no snapshots of Flink in " << archives;
    const std::string directory = harness_.File("goldens");
    ASSERT_TRUE(io::CreateDirectories(directory).ok());
    const std::string command =
        "tar xzf '" + archives + "/flink-1.20-goldens.tgz' -C '" + directory + "'";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (entry.path().filename() == "_metadata") Load(entry.path().parent_path().string());
    }
    ASSERT_GT(streams_.size(), 100u);
  }

  void Load(const std::string& directory) {
    const auto loaded = snapshot::LoadSnapshot(directory);
    ASSERT_TRUE(loaded.ok()) << Message(loaded.status());
    for (const snapshot::OperatorSnapshot& op : loaded->metadata.operators) {
      for (const auto& subtask : op.subtasks) {
        const auto* handle = std::get_if<KeyGroupsHandle>(&subtask.second.managed_keyed_state);
        if (handle == nullptr || handle->kind != KeyGroupsHandle::Kind::kSavepoint) continue;
        Stream stream{directory, op.operator_id, op.max_parallelism, *handle, "", false};
        stream.bytes = snapshot::ReadStream(handle->stream, directory).value();
        const auto header = snapshot::ParseKeyedStateHeader(stream.bytes);
        ASSERT_TRUE(header.ok()) << stream.Where() << ": " << Message(header.status());
        stream.compressed = header->compressed;
        streams_.push_back(std::move(stream));
      }
    }
  }

  std::unique_ptr<KeyedStateBackend> Restore(const Stream& stream) {
    return harness_.Open(stream.handle.range(), stream.max_parallelism,
                         {{stream.handle, stream.directory}});
  }
  static std::string BytesOf(const KeyGroupsHandle& handle) {
    return CanonicalHarness::BytesOf(handle);
  }

  using Rows = std::map<std::pair<std::string, std::string>, std::string>;
  /// By state name and key.
  static Rows RowsOf(const Stream& stream, const KeyGroupsHandle& handle) {
    CanonicalReader reader;
    EXPECT_TRUE(reader.Open(handle, stream.directory).ok());
    Rows rows;
    CanonicalReader::Group group;
    for (int g = handle.range().start; g <= handle.range().end; ++g) {
      const Status read = reader.ReadGroup(g, KeyGroupPrefix(g, stream.max_parallelism), &group);
      EXPECT_TRUE(read.ok()) << Message(read);
      for (const CanonicalReader::Row& row : group.rows) {
        rows[{reader.header().states[static_cast<size_t>(row.state)].name, std::string(row.key)}] =
            row.value;
      }
    }
    return rows;
  }

  CanonicalHarness harness_;
  std::vector<Stream> streams_;
};

TEST_F(FlinkCanonicalGolden, WhatRocksDbWroteIsWrittenAgainByteForByte) {
  int checked = 0;
  for (const Stream& stream : streams_) {
    if (stream.compressed || stream.directory.find("/rocksdb-canonical") == std::string::npos) {
      continue;
    }
    auto backend = Restore(stream);
    ASSERT_NE(backend, nullptr);
    const KeyGroupsHandle again = harness_.Take(*backend);
    EXPECT_EQ(again.offsets, stream.handle.offsets) << stream.Where();
    ASSERT_TRUE(BytesOf(again) == stream.bytes) << stream.Where();
    ++checked;
  }
  EXPECT_GE(checked, 45);
}

TEST_F(FlinkCanonicalGolden, WhatTheHeapWroteKeepsEveryRow) {
  int checked = 0;
  for (const Stream& stream : streams_) {
    if (stream.compressed || stream.directory.find("/hashmap-") == std::string::npos) continue;
    auto backend = Restore(stream);
    ASSERT_NE(backend, nullptr);
    const KeyGroupsHandle again = harness_.Take(*backend);
    ASSERT_EQ(RowsOf(stream, again), RowsOf(stream, stream.handle)) << stream.Where();
    // Rows stand in another order; so only the size is the same.
    ASSERT_EQ(BytesOf(again).size(), stream.bytes.size()) << stream.Where();
    ++checked;
  }
  EXPECT_GE(checked, 45);
}

TEST_F(FlinkCanonicalGolden, CompressedStreamsAreReadAndWrittenAgainUncompressed) {
  int checked = 0;
  for (const Stream& stream : streams_) {
    if (!stream.compressed || stream.directory.find("/rocksdb-") == std::string::npos) continue;
    const std::string plain_directory =
        stream.directory.substr(0, stream.directory.size() - std::string("-snappy").size());
    for (const Stream& plain : streams_) {
      if (plain.directory != plain_directory || plain.op != stream.op ||
          plain.handle.range() != stream.handle.range()) {
        continue;
      }
      auto backend = Restore(stream);
      ASSERT_NE(backend, nullptr);
      ASSERT_TRUE(BytesOf(harness_.Take(*backend)) == plain.bytes) << stream.Where();
      ++checked;
    }
  }
  EXPECT_GE(checked, 2);
}

/// Rewrites states with the values that the job is known to have had, through our serializers.
class TypedRewrite {
 public:
  TypedRewrite(KeyedStateBackend* backend, const json& op) : backend_(backend), op_(op) {}

  template <class K, class V>
  void Value(const std::string& name) {
    const json* state = nullptr;
    for (const json& s : op_.at("states")) {
      if (s.at("name") == name) state = &s;
    }
    ASSERT_NE(state, nullptr) << name;
    const StateKind kind = state->at("kind") == "REDUCING"      ? StateKind::kReducing
                           : state->at("kind") == "AGGREGATING" ? StateKind::kAggregating
                                                                : StateKind::kValue;
    auto table = std::make_unique<ValueTable<K, V>>(*backend_, name, kind);
    for (const json& entry : state->at("entries")) {
      K key{};
      if constexpr (requires { key.name_space; }) {
        key.key = Parse<decltype(key.key)>(entry.at("key"));
        key.name_space = Parse<decltype(key.name_space)>(entry.at("ns"));
      } else {
        key = Parse<K>(entry.at("key"));
      }
      const V value = Parse<V>(entry.at("value"));
      if (!Owns(StateKeyTraits<K>::HashCode(key))) continue;
      const V* const found = table->Find(key, table->Hash(key));
      ASSERT_NE(found, nullptr) << name << " " << entry;
      EXPECT_TRUE(TypeSerializer<V>::Equals(*found, value)) << name << " " << entry;
      table->Erase(key, table->Hash(key));
      table->Upsert(key, table->Hash(key)) = value;
      ++rewritten_;
    }
    tables_.push_back(std::move(table));
  }
  template <class K>
  void Timers() {
    for (const char* domain : {"event", "processing"}) {
      auto queue = std::make_unique<TimerQueue<K>>(
          *backend_, std::string("_timer_state/") + domain + "_user-timers");
      size_t own = 0;
      for (const json& timer : op_.at("timers")[0].at(domain)) {
        const K key = Parse<K>(timer.at("key"));
        if (!Owns(TypeSerializer<K>::HashCode(key))) continue;
        ++own;
        const auto time = timer.at("time").get<int64_t>();
        EXPECT_TRUE(queue->Delete(time, key)) << timer;
        EXPECT_TRUE(queue->Register(time, key)) << timer;
        ++rewritten_;
      }
      EXPECT_EQ(queue->size(), own);
      tables_.push_back(std::move(queue));
    }
  }
  int rewritten() const { return rewritten_; }

 private:
  bool Owns(int32_t hash_code) const {
    return backend_->key_groups().Contains(
        AssignToKeyGroup(hash_code, backend_->max_parallelism()));
  }

  KeyedStateBackend* backend_;
  const json& op_;
  std::vector<std::unique_ptr<StateTableBase>> tables_;
  int rewritten_ = 0;
};

TEST_F(FlinkCanonicalGolden, ValuesAndTimersOfOurTypesAreWrittenAgainByteForByte) {
  using S = std::string;
  using I = int32_t;
  using L = int64_t;
  const std::map<std::string, std::function<void(TypedRewrite&)>> states = {
      {"kv-long",
       [](TypedRewrite& r) {
         r.Value<L, L>("v-long");
         r.Value<L, S>("v-string");
         r.Value<L, L>("r-long");
         r.Value<L, std::tuple<L, L>>("a-long");
         r.Value<L, L>("empty");
         r.Timers<L>();
       }},
      {"kv-string",
       [](TypedRewrite& r) {
         r.Value<S, I>("v-int");
         r.Value<S, double>("v-double");
         r.Value<S, bool>("v-bool");
         r.Value<S, Bytes>("v-bytes");
         r.Value<S, std::tuple<S, L>>("v-pair");
         r.Timers<S>();
       }},
      {"kv-types",
       [](TypedRewrite& r) {
         r.Value<I, int16_t>("short");
         r.Value<I, int8_t>("byte");
         r.Value<I, float>("float");
       }},
      {"kv-pojo",
       [](TypedRewrite& r) {
         r.Value<I, std::vector<S>>("v-list");
         r.Value<I, std::tuple<I, S, bool>>("v-triple");
         r.Timers<I>();
       }},
      {"kv-4096",
       [](TypedRewrite& r) {
         r.Value<std::tuple<S, I>, S>("v-string");
         r.Timers<std::tuple<S, I>>();
       }},
      {"kv-4096-int",
       [](TypedRewrite& r) {
         r.Value<I, L>("v");
         r.Value<I, std::tuple<L, L>>("agg");
         r.Timers<I>();
       }},
      {"ns-string", [](TypedRewrite& r) { r.Value<NamespacedKey<S, S>, L>("v"); }},
      {"ns-long", [](TypedRewrite& r) { r.Value<NamespacedKey<S, L>, L>("v"); }},
      {"ns-fixed", [](TypedRewrite& r) { r.Value<NamespacedKey<L, S>, S>("v"); }},
  };
  int rewritten = 0;
  int checked = 0;
  for (const Stream& stream : streams_) {
    if (stream.compressed || stream.directory.find("/rocksdb-canonical") == std::string::npos) {
      continue;
    }
    const json expected = json::parse(
        MarkLoneSurrogates(io::ReadFile(io::JoinPath(stream.directory, "expected.json")).value()));
    for (const json& op : expected.at("operators")) {
      const auto uid = op.at("uid").get<std::string>();
      const auto rewrite = states.find(uid);
      if (OperatorIdFromUid(uid) != stream.op || rewrite == states.end()) continue;
      auto backend = Restore(stream);
      ASSERT_NE(backend, nullptr);
      TypedRewrite typed(backend.get(), op);
      rewrite->second(typed);
      const KeyGroupsHandle again = harness_.Take(*backend);
      EXPECT_EQ(again.offsets, stream.handle.offsets) << stream.Where() << " " << uid;
      ASSERT_TRUE(BytesOf(again) == stream.bytes) << stream.Where() << " " << uid;
      rewritten += typed.rewritten();
      ++checked;
    }
  }
  EXPECT_GE(checked, 20);
  EXPECT_GE(rewritten, 1800);
}

}  // namespace
}  // namespace flink::taskmanager
