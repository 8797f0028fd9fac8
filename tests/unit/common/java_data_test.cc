#include "common/snapshot/java_data.h"

#include <gtest/gtest.h>

#include <string>

namespace flink::snapshot {
namespace {

std::string Bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int v : values) out.push_back(static_cast<char>(v));
  return out;
}

TEST(JavaData, TextIsModifiedUtf8) {
  using std::string_literals::operator""s;
  const std::string text = "a\0é€😀"s;
  JavaWriter writer;
  writer.WriteUtf(text);
  EXPECT_EQ(writer.bytes(), Bytes({0x00, 0x0e, 0x61, 0xc0, 0x80, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xed,
                                   0xa0, 0xbd, 0xed, 0xb8, 0x80}));
  JavaReader reader(writer.bytes());
  const auto read = reader.ReadUtf("text");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, text);
}

TEST(JavaData, LoneSurrogatesSurvive) {
  for (const std::string& lone : {Bytes({0xed, 0xa0, 0xbd}), Bytes({0xed, 0xb8, 0x80})}) {
    const auto utf8 = FromModifiedUtf8(lone + "x");
    ASSERT_TRUE(utf8.ok());
    EXPECT_EQ(ToModifiedUtf8(*utf8), lone + "x");
  }
}

TEST(JavaData, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  EXPECT_EQ(ToModifiedUtf8(Bytes({'a', 0xff, 'b'})),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(ToModifiedUtf8(Bytes({0xe2, 0x82})), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_FALSE(FromModifiedUtf8(Bytes({0xe2, 0x82})).ok());
  EXPECT_FALSE(FromModifiedUtf8(Bytes({0xf0, 0x9f, 0x98, 0x80})).ok());
}

TEST(JavaData, IntegersAreBigEndian) {
  JavaWriter writer;
  writer.WriteU8(0xfe);
  writer.WriteI16(-2);
  writer.WriteI32(0x01020304);
  writer.WriteI64(-3);
  EXPECT_EQ(writer.bytes(),
            Bytes({0xfe, 0xff, 0xfe, 1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfd}));
  JavaReader reader(writer.bytes());
  EXPECT_EQ(reader.ReadU8("a").value(), 0xfe);
  EXPECT_EQ(reader.ReadI16("b").value(), -2);
  EXPECT_EQ(reader.ReadI32("c").value(), 0x01020304);
  EXPECT_EQ(reader.ReadI64("d").value(), -3);
  EXPECT_TRUE(reader.ExpectEnd("it").ok());
}

TEST(JavaData, ErrorsNameOffsetAndField) {
  const std::string bytes = Bytes({0, 0, 0, 1, 7});
  JavaReader reader(bytes, 100);
  ASSERT_TRUE(reader.ReadI32("first").ok());
  const auto missing = reader.ReadI64("checkpoint id");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(Message(missing.status()),
            "at offset 104: expected checkpoint id (8 bytes), but 1 bytes are left");
}

TEST(JavaData, ACountBeyondTheBytesIsRefused) {
  const std::string bytes = Bytes({0x7f, 0xff, 0xff, 0xff, 0, 0});
  JavaReader reader(bytes);
  EXPECT_FALSE(reader.ReadCount("number of things", 8).ok());
  const std::string negative = Bytes({0xff, 0xff, 0xff, 0xff});
  JavaReader negative_reader(negative);
  EXPECT_FALSE(negative_reader.ReadCount("number of things", 0).ok());
}

TEST(JavaData, ATextOver65535BytesIsAnError) {
  JavaWriter writer;
  writer.WriteUtf(std::string(65535, 'x'));
  EXPECT_TRUE(writer.status().ok());
  writer.WriteUtf(std::string(32768, 'x') + std::string(32768, 'y'));
  EXPECT_FALSE(writer.status().ok());
  EXPECT_EQ(writer.size(), 65537u);
}

}  // namespace
}  // namespace flink::snapshot
