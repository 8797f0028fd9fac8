#include "cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/verbs.h"

namespace flink::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

const std::vector<OptionSpec>& Specs(const char* verb) {
  static std::map<std::string, std::vector<OptionSpec>> specs;
  auto& found = specs[verb];
  if (found.empty()) found = AcceptedOptions(*FindVerb(verb));
  return found;
}

StatusOr<CommandLine> Parse(const char* verb, const std::vector<std::string>& tokens) {
  return CommandLine::Parse(Specs(verb), tokens, FindVerb(verb)->scope);
}

std::string Error(const char* verb, const std::vector<std::string>& tokens) {
  const auto line = Parse(verb, tokens);
  return line.ok() ? "parsed" : Message(line.status());
}

TEST(CommandLineTest, OneDashIntroducesShortAndLongNames) {
  const auto line =
      Parse("run", {"-detached", "-claimMode", "CLAIM", "-p4", "--fromSavepoint=/x", "a.so"});
  ASSERT_TRUE(line.ok()) << Message(line.status());
  EXPECT_TRUE(line->Has("d"));
  EXPECT_THAT(line->Value("cm"), Optional(std::string("CLAIM")));
  EXPECT_THAT(line->Value("p"), Optional(std::string("4")));
  EXPECT_THAT(line->Value("s"), Optional(std::string("/x")));
  EXPECT_THAT(line->arguments(), ElementsAre("a.so"));
}

TEST(CommandLineTest, RunLeavesEverythingAfterTheLibraryToTheProgram) {
  const auto line = Parse("run", {"-d", "a.so", "-p", "2", "--foo", "-d"});
  ASSERT_TRUE(line.ok());
  EXPECT_THAT(line->arguments(), ElementsAre("a.so", "-p", "2", "--foo", "-d"));
  EXPECT_FALSE(line->Has("p"));
}

TEST(CommandLineTest, RunTakesAnUnknownOptionForTheLibrary) {
  const auto line = Parse("run", {"--bogus", "a.so"});
  ASSERT_TRUE(line.ok());
  EXPECT_THAT(line->arguments(), ElementsAre("--bogus", "a.so"));
}

TEST(CommandLineTest, OtherVerbsTakeOptionsBehindArguments) {
  const auto line = Parse("savepoint", {"id", "/dir", "-detached", "-type", "native"});
  ASSERT_TRUE(line.ok());
  EXPECT_TRUE(line->Has("detached"));
  EXPECT_THAT(line->Value("type"), Optional(std::string("native")));
  EXPECT_THAT(line->arguments(), ElementsAre("id", "/dir"));
}

TEST(CommandLineTest, DetachedTakesOneDashAsInFlinkOrTwo) {
  for (const char* verb : {"savepoint", "stop"}) {
    for (const char* option : {"-detached", "--detached"}) {
      const auto line = Parse(verb, {"id", option});
      ASSERT_TRUE(line.ok()) << Message(line.status());
      EXPECT_TRUE(line->Has("detached")) << verb << option;
      EXPECT_FALSE(line->Has("d")) << verb << option;
    }
  }
}

TEST(CommandLineTest, AnUnknownOptionIsNamed) {
  EXPECT_EQ(Error("list", {"--foo"}), "Unrecognized option: --foo");
}

TEST(CommandLineTest, AnOptionWithoutItsValueIsAnError) {
  EXPECT_EQ(Error("run", {"-p"}), "Missing argument for option: p");
  EXPECT_EQ(Error("run", {"-p", "-d", "a.so"}), "Missing argument for option: p");
  EXPECT_EQ(Error("savepoint", {"-d"}), "Missing argument for option: d");
}

TEST(CommandLineTest, AnOptionalValueMayBeAbsentOrSwallowTheNextToken) {
  auto line = Parse("cancel", {"id", "-s"});
  ASSERT_TRUE(line.ok());
  EXPECT_TRUE(line->Has("s"));
  EXPECT_EQ(line->Value("s"), std::nullopt);
  EXPECT_THAT(line->arguments(), ElementsAre("id"));

  line = Parse("cancel", {"-s", "id"});
  ASSERT_TRUE(line.ok());
  EXPECT_THAT(line->Value("s"), Optional(std::string("id")));
  EXPECT_THAT(line->arguments(), IsEmpty());
}

TEST(CommandLineTest, UniquePrefixesOfLongNamesCountAndAmbiguousOnesDoNot) {
  EXPECT_TRUE(Parse("list", {"--run"})->Has("r"));
  EXPECT_EQ(Error("run", {"--cla", "x"}),
            "Ambiguous option: '--cla'  (could be: 'class', 'classpath', 'claimMode')");
  EXPECT_TRUE(Parse("run", {"--class", "x"})->Has("c"));
}

TEST(CommandLineTest, OneLetterBehindOneDashIsNoPrefix) {
  EXPECT_EQ(Error("stop", {"-s", "x"}), "Unrecognized option: -s");
  EXPECT_EQ(Error("savepoint", {"-s", "x"}), "Unrecognized option: -s");
  EXPECT_EQ(Error("savepoint", {"-s=x"}), "Unrecognized option: -s=x");
  EXPECT_EQ(Error("checkpoint", {"-f", "id"}), "Unrecognized option: -f");
  EXPECT_TRUE(Parse("checkpoint", {"--f", "id"})->Has("full"));
  EXPECT_TRUE(Parse("checkpoint", {"-fu", "id"})->Has("full"));
}

TEST(CommandLineTest, PropertiesComeAttachedAndDetached) {
  const auto line = Parse("list", {"-Drest.port=1", "-D", "a.b=c=d", "x"});
  ASSERT_TRUE(line.ok());
  EXPECT_THAT(line->Values("D"), ElementsAre("rest.port=1", "a.b=c=d"));
  EXPECT_THAT(line->arguments(), ElementsAre("x"));
}

TEST(CommandLineTest, FlagsMayStandInARow) {
  const auto line = Parse("list", {"-rs"});
  ASSERT_TRUE(line.ok());
  EXPECT_TRUE(line->Has("r"));
  EXPECT_TRUE(line->Has("s"));
  EXPECT_EQ(Error("list", {"-rx"}), "Unrecognized option: -x");
}

TEST(CommandLineTest, TwoDashesEndTheOptions) {
  EXPECT_THAT(Parse("list", {"--", "-r"})->arguments(), ElementsAre("-r"));
}

TEST(VerbHelpTest, LooksAsTheOriginal) {
  EXPECT_EQ(VerbHelp(*FindVerb("info")),
            "\nAction \"info\" shows the optimized execution plan of the program (JSON).\n\n"
            "  Syntax: info [OPTIONS] <job-library> <arguments>\n"
            "  \"info\" action options:\n"
            "     -c,--class <classname>           Accepted for compatibility; a job library\n"
            "                                      has a single entry, which needs no name.\n"
            "     -p,--parallelism <parallelism>   The parallelism with which to run the\n"
            "                                      program. Optional flag to override the\n"
            "                                      default value specified in the\n"
            "                                      configuration.\n\n");
}

TEST(VerbHelpTest, NoLineIsWiderThanATerminal) {
  std::istringstream help(FullHelp());
  for (std::string line; std::getline(help, line);) {
    if (line.starts_with("Action ")) continue;
    EXPECT_LE(line.size(), 80u) << line;
  }
}

}  // namespace
}  // namespace flink::cli
