#include "flink/type_serializer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "flink/batch.h"
#include "flink/key_group.h"

namespace user {

struct WordCount {
  std::string word;
  int32_t count = 0;
};
FLINK_FIELDS(WordCount, word, count)

template <class T>
struct Point {
  T x{};
  T y{};
  FLINK_FIELDS(Point, x, y)
};

struct Wide {
  int8_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8, i = 9, j = 10, k = 11, l = 12,
         m = 13, n = 14, o = 15, p = 16, q = 17, r = 18, s = 19, t = 20, u = 21, v = 22, w = 23,
         x = 24, y = 25;
};
FLINK_FIELDS(Wide, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y)

}  // namespace user

namespace flink {
namespace {

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return hex;
}

template <class T>
std::string Encode(const T& v) {
  BufferWriter out;
  TypeSerializer<T>::Write(out, v);
  return out.TakeString();
}

template <class T>
T Decode(std::string_view bytes) {
  BufferReader in(bytes);
  T v{};
  TypeSerializer<T>::Read(in, v);
  EXPECT_EQ(in.remaining(), 0u);
  return v;
}

/// The bytes, after they have been read back and compared.
template <class T>
std::string RoundTripHex(const T& v) {
  const std::string bytes = Encode(v);
  EXPECT_TRUE(TypeSerializer<T>::Equals(Decode<T>(bytes), v)) << Hex(bytes);
  if (TypeSerializer<T>::kLength >= 0) {
    EXPECT_EQ(bytes.size(), static_cast<size_t>(TypeSerializer<T>::kLength));
  }
  return Hex(bytes);
}

using std::string;

TEST(TypeSerializerTest, NumbersAreBigEndian) {
  EXPECT_EQ(RoundTripHex(true), "01");
  EXPECT_EQ(RoundTripHex<int8_t>(-2), "FE");
  EXPECT_EQ(RoundTripHex<int16_t>(258), "0102");
  EXPECT_EQ(RoundTripHex<int32_t>(14), "0000000E");
  EXPECT_EQ(RoundTripHex<int64_t>(-1), "FFFFFFFFFFFFFFFF");
  EXPECT_EQ(RoundTripHex<long long>(1), "0000000000000001");
  EXPECT_EQ(RoundTripHex(1.0f), "3F800000");
  EXPECT_EQ(RoundTripHex(-0.0), "8000000000000000");
}

TEST(TypeSerializerTest, EveryNaNIsWrittenAlike) {
  EXPECT_EQ(RoundTripHex(-std::nan("7")), "7FF8000000000000");
  EXPECT_EQ(RoundTripHex(-std::nanf("7")), "7FC00000");
}

TEST(TypeSerializerTest, StringsHaveFlinksForm) {
  EXPECT_EQ(RoundTripHex(string()), "01");
  EXPECT_EQ(RoundTripHex(string("a")), "0261");
  EXPECT_EQ(RoundTripHex(string("hello")), "0668656C6C6F");
  EXPECT_EQ(RoundTripHex(string("é")), "02E901");
  EXPECT_EQ(RoundTripHex(string("€")), "02AC41");
  EXPECT_EQ(RoundTripHex(string("😀")), "03BDB00380BC03");
  EXPECT_EQ(RoundTripHex(string(126, 'x')).substr(0, 4), "7F78");
  EXPECT_EQ(RoundTripHex(string(127, 'x')).substr(0, 6), "800178");
  EXPECT_EQ(RoundTripHex(string(1, '\0')), "0200");
}

TEST(TypeSerializerTest, LoneSurrogatesKeepTheirThreeByteForm) {
  const string high = Decode<string>(string("\x02\x80\xB0\x03", 4));  // The unit 0xD800.
  EXPECT_EQ(high, "\xED\xA0\x80");
  EXPECT_EQ(RoundTripHex(high), "0280B003");
}

TEST(TypeSerializerTest, AnyBytesSurviveAsString) {
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    string s(random() % 12, '\0');
    for (char& c : s) c = static_cast<char>(random());
    // The three-byte form of a surrogate is rewritten when it meets another one.
    if (s.find('\xED') != string::npos) continue;
    ASSERT_EQ(Decode<string>(Encode(s)), s) << Hex(s);
  }
}

TEST(TypeSerializerTest, AnyUtf16UnitsSurviveAsString) {
  std::mt19937 random(8);
  for (int i = 0; i < 20000; ++i) {
    BufferWriter out;
    const size_t n = random() % 6;
    char small[8];
    out.PutBytes({small, static_cast<size_t>(
                             internal::PutVarint(small, static_cast<uint32_t>(n) + 1) - small)});
    for (size_t k = 0; k < n; ++k) {
      const uint32_t unit = random() % 2 == 0 ? 0xD800 + random() % 0x800 : random() % 0x10000;
      out.PutBytes({small, static_cast<size_t>(internal::PutVarint(small, unit) - small)});
    }
    const string s = Decode<string>(out.view());
    ASSERT_EQ(Hex(Encode(s)), Hex(out.view()));
  }
}

TEST(TypeSerializerTest, DamagedStringsAreRefused) {
  EXPECT_THROW(Decode<string>(string("\0", 1)), DecodeError);
  EXPECT_THROW(Decode<string>("\x06hell"), DecodeError);
  EXPECT_THROW(Decode<string>("\xff\xff\xff\xff\xff\xff\xff"), DecodeError);
  EXPECT_THROW(Decode<string>(""), DecodeError);
}

TEST(TypeSerializerTest, TuplesPairsAndStructsAreTheirFields) {
  const std::tuple<string, string, int32_t> golden{"hello Gordon", "ciao", 14};
  EXPECT_EQ(RoundTripHex(golden), "0D68656C6C6F20476F72646F6E056369616F0000000E");
  EXPECT_EQ(RoundTripHex(user::WordCount{"a", 3}), "026100000003");
  EXPECT_EQ(RoundTripHex(std::pair<int8_t, bool>{-1, true}), "FF01");
  EXPECT_EQ(RoundTripHex(user::Point<int16_t>{1, 2}), "00010002");
  EXPECT_EQ(RoundTripHex(user::Wide{}).size(), 50u);
  EXPECT_EQ((TypeSerializer<std::pair<int64_t, double>>::kLength), 16);
  EXPECT_EQ(TypeSerializer<user::WordCount>::kLength, -1);
  EXPECT_EQ(TypeSerializer<user::WordCount>::Name(), "Tuple2<String,Integer>");
  EXPECT_EQ((TypeSerializer<std::vector<std::pair<int64_t, float>>>::Name()),
            "List<Tuple2<Long,Float>>");
}

TEST(TypeSerializerTest, ListsMapsAndBytesHaveFlinksForm) {
  EXPECT_EQ(RoundTripHex(std::vector<int16_t>{1, 2}), "0000000200010002");
  EXPECT_EQ(RoundTripHex(std::vector<bool>{true, false}), "000000020100");
  EXPECT_EQ(RoundTripHex(std::map<int32_t, string>{{0, "0"}}), "0000000100000000000230");
  EXPECT_EQ(RoundTripHex(Bytes{"\xff"}), "00000001FF");
  EXPECT_THROW(Decode<std::vector<int32_t>>("\xff\xff\xff\xff"), DecodeError);
  EXPECT_THROW(Decode<std::vector<int32_t>>("\x7f\xff\xff\xff"), DecodeError);
}

TEST(TypeSerializerTest, HashCodesAreJavas) {
  const auto hash = [](const auto& v) {
    return TypeSerializer<std::decay_t<decltype(v)>>::HashCode(v);
  };
  EXPECT_EQ(hash(string()), 0);
  EXPECT_EQ(hash(string("a")), 97);
  EXPECT_EQ(hash(string("hello")), 99162322);
  EXPECT_EQ(hash(string("flink")), 97520992);
  EXPECT_EQ(hash(string("user-42")), -147182656);
  EXPECT_EQ(hash(string("é")), 233);
  EXPECT_EQ(hash(string("😀")), 1772899);
  EXPECT_EQ(hash(true), 1231);
  EXPECT_EQ(hash(false), 1237);
  EXPECT_EQ(hash(int8_t{-3}), -3);
  EXPECT_EQ(hash(int64_t{-1}), 0);
  EXPECT_EQ(hash(int64_t{1} << 32), 1);
  EXPECT_EQ(hash(int32_t{-1}), -1);
  EXPECT_EQ(hash(std::tuple<string, int64_t>{"a", 1}), 3008);
  EXPECT_EQ(hash(std::tuple<int32_t, string, bool>{7, "x", true}), 11678);
  EXPECT_NE(hash(0.0), hash(-0.0));
}

TEST(TypeSerializerTest, KeysFallIntoFlinksKeyGroups) {
  const auto group = [](const auto& v) {
    return AssignToKeyGroup(TypeSerializer<std::decay_t<decltype(v)>>::HashCode(v), 128);
  };
  EXPECT_EQ(group(string("flink")), 98);
  EXPECT_EQ(group(string("😀")), 54);
  EXPECT_EQ(group(int32_t{42}), 29);
  EXPECT_EQ(group(std::numeric_limits<int32_t>::min()), 108);
  EXPECT_EQ(group(int64_t{-1}), 94);
  EXPECT_EQ(group(std::numeric_limits<int64_t>::min()), 108);
  EXPECT_EQ(group(std::tuple<string, int64_t>{"a", 1}), 29);
}

TEST(TypeSerializerTest, SnapshotsNameFlinksClasses) {
  const string base = "org.apache.flink.api.common.typeutils.base.";
  const auto simple = [&](const string& name) {
    BufferWriter out;
    internal::PutUtf(out, base + name);
    out.Put<int32_t>(3);
    return out.TakeString();
  };
  EXPECT_EQ(TypeSerializer<int32_t>::Snapshot(), simple("IntSerializer$IntSerializerSnapshot"));
  EXPECT_EQ(TypeSerializer<int64_t>::Snapshot(), simple("LongSerializer$LongSerializerSnapshot"));
  EXPECT_EQ(TypeSerializer<string>::Snapshot(),
            simple("StringSerializer$StringSerializerSnapshot"));
  EXPECT_EQ(TypeSerializer<Bytes>::Snapshot(),
            simple("array.BytePrimitiveArraySerializer$BytePrimitiveArraySerializerSnapshot"));

  BufferWriter tuple;
  internal::PutUtf(tuple, "org.apache.flink.api.java.typeutils.runtime.TupleSerializerSnapshot");
  for (const int32_t n : {3, 911108, 2}) tuple.Put<int32_t>(n);
  internal::PutUtf(tuple, "org.apache.flink.api.java.tuple.Tuple2");
  for (const int32_t n : {1333245, 1, 2}) tuple.Put<int32_t>(n);
  tuple.PutBytes(TypeSerializer<string>::Snapshot());
  tuple.PutBytes(TypeSerializer<int32_t>::Snapshot());
  EXPECT_EQ(TypeSerializer<user::WordCount>::Snapshot(), tuple.view());
}

TEST(BatchTest, BatchesAreDecodedAsTheyWereEncoded) {
  Batch<user::WordCount> batch;
  batch.records = {{"a", 1}, {"ü", 2}};
  batch.timestamps = {5, kNoTimestamp};
  BufferWriter out;
  batch.Encode(out);
  BufferReader in(out.view());
  const auto copy = Batch<user::WordCount>::Decode(in);
  const auto& decoded = static_cast<const Batch<user::WordCount>&>(*copy);
  ASSERT_EQ(decoded.size(), 2u);
  EXPECT_EQ(decoded.records[1].word, "ü");
  EXPECT_EQ(decoded.timestamps, batch.timestamps);
}

}  // namespace
}  // namespace flink
