#include "core/keyring.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace parley {
namespace {

const std::string hex_a(64, 'a');
const std::string line_a = "1 " + hex_a + " user active 1700000000\n";

/// A directory that disappears with its content.
class Scratch {
 public:
  Scratch() {
    std::string path = (std::filesystem::temp_directory_path() / "parley-unit-XXXXXX").string();
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
  [[nodiscard]] std::size_t files() const {
    const std::filesystem::directory_iterator all{path_};
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

 private:
  std::filesystem::path path_;
};

void write_file(const std::string& path, const std::string& text, mode_t mode) {
  std::ofstream{path} << text;
  REQUIRE(::chmod(path.c_str(), mode) == 0);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("keyring: reads what it writes") {
  Keyring keyring;
  Secret secret{};
  for (std::size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<unsigned char>(i * 8);
  CHECK(keyring.add(secret, false, 10) == 1);
  CHECK(keyring.add(Secret{}, true, 20) == 2);
  CHECK(keyring.add(Secret{}, false, 30) == 3);
  CHECK(keyring.retire(3));
  const auto again = Keyring::parse(keyring.render());
  REQUIRE(again);
  CHECK(again->render() == keyring.render());
  REQUIRE(again->find(1) != nullptr);
  CHECK(again->find(1)->secret == secret);
  CHECK(again->find(1)->created_at_s == 10);
  CHECK_FALSE(again->find(1)->service);
  CHECK(again->find(2)->service);
  CHECK(again->find(3) == nullptr);
  CHECK(again->keys().size() == 3);
}

TEST_CASE("keyring: comments, blank lines and line ends do no harm") {
  for (const std::string& text :
       {line_a, "# c\n\n  \n" + line_a, "  # c\r\n1\t" + hex_a + "  user active 5\r\n",
        line_a.substr(0, line_a.size() - 1)}) {
    CAPTURE(text);
    const auto keyring = Keyring::parse(text);
    REQUIRE(keyring);
    CHECK(keyring->keys().size() == 1);
  }
  REQUIRE(Keyring::parse(""));
  CHECK(Keyring::parse("")->keys().empty());
}

TEST_CASE("keyring: a bad line is named by number, never quoted") {
  for (const std::string& bad :
       {"0 " + hex_a + " user active 1", "256 " + hex_a + " user active 1",
        "-1 " + hex_a + " user active 1", "x " + hex_a + " user active 1",
        "2 " + hex_a + "a user active 1", "2 " + hex_a.substr(1) + " user active 1",
        "2 " + hex_a.substr(1) + "g user active 1", std::string{"2 - user active 1"},
        "2 " + hex_a + " user retired 1", "2 " + hex_a + " admin active 1",
        "2 " + hex_a + " user alive 1", "2 " + hex_a + " user active", "2 " + hex_a,
        "2 " + hex_a + " user active 1 more", "2 " + hex_a + " user active x",
        "2 " + hex_a + " user active -5", "2 " + hex_a + " user active 99999999999999999999",
        "1 " + hex_a + " user active 1"}) {
    CAPTURE(bad);
    const auto keyring = Keyring::parse(line_a + "# comment\n" + bad + "\n");
    REQUIRE_FALSE(keyring);
    CHECK(contains(keyring.error(), "line 3:"));
    CHECK_FALSE(contains(keyring.error(), "aaaa"));
  }
}

TEST_CASE("keyring: ids are never used again") {
  Keyring keyring;
  for (int i = 1; i <= 255; ++i) CHECK(keyring.add(Secret{}, false, 0) == i);
  CHECK(keyring.retire(255));
  const auto none_left = keyring.add(Secret{}, false, 0);
  REQUIRE_FALSE(none_left);
  CHECK(contains(none_left.error(), "255"));
  CHECK_FALSE(keyring.retire(255));
  CHECK_FALSE(keyring.retire(0));
}

TEST_CASE("keyring: the newest key is the last added active one of its sort") {
  Keyring keyring;
  CHECK(keyring.newest(false) == nullptr);
  Secret secret{};
  secret.fill(1);
  (void)keyring.add(secret, false, 100);
  (void)keyring.add(secret, false, 50);  // the clock went back
  (void)keyring.add(secret, true, 200);
  REQUIRE(keyring.newest(false) != nullptr);
  CHECK(keyring.newest(false)->key_id == 2);
  CHECK(keyring.newest(true)->key_id == 3);
  CHECK(keyring.retire(2));
  CHECK(keyring.newest(false)->key_id == 1);
  CHECK(keyring.keys()[1].secret == Secret{});
}

TEST_CASE("key file: saved with mode 0600, read back, replaced without remains") {
  const Scratch scratch;
  const std::string path = scratch.file("keys");
  Keyring keyring;
  (void)keyring.add(random_secret(), false, 1);
  REQUIRE(save_key_file(path, keyring));
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
  (void)keyring.add(random_secret(), true, 2);
  REQUIRE(save_key_file(path, keyring));
  const auto loaded = load_key_file(path);
  REQUIRE(loaded);
  CHECK(loaded->render() == keyring.render());
  CHECK(scratch.files() == 1);
}

TEST_CASE("key file: one that others may touch is refused with the remedy") {
  const Scratch scratch;
  const std::string path = scratch.file("keys");
  for (const mode_t mode : {0644U, 0640U, 0604U, 0660U, 0610U, 0601U, 0602U, 0620U}) {
    CAPTURE(mode);
    write_file(path, line_a, mode);
    const auto loaded = load_key_file(path);
    REQUIRE_FALSE(loaded);
    CHECK(contains(loaded.error(), "chmod 600 " + path));
  }
  for (const mode_t mode : {0600U, 0400U}) {
    write_file(path, line_a, 0600);
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CHECK(load_key_file(path));
    ::unlink(path.c_str());
  }
}

TEST_CASE("key file: what is no regular file, missing or malformed is refused with its path") {
  const Scratch scratch;
  const std::string fifo = scratch.file("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const std::string bad = scratch.file("bad");
  write_file(bad, "nonsense\n", 0600);
  const std::string huge = scratch.file("huge");
  write_file(huge, std::string(1 << 20, '#'), 0600);
  for (const std::string& path :
       {scratch.file(""), fifo, bad, huge, std::string{"/dev/zero"}, scratch.file("missing")}) {
    CAPTURE(path);
    const auto loaded = load_key_file(path);
    REQUIRE_FALSE(loaded);
    CHECK(contains(loaded.error(), path));
  }
  CHECK_FALSE(save_key_file(scratch.file("no/such/directory/keys"), Keyring{}));
}

TEST_CASE("keyring: secrets are not alike") { CHECK(random_secret() != random_secret()); }

}  // namespace parley
