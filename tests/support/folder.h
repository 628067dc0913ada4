// A folder for one test, removed with all that is in it.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace kokuin::testing {

struct Folder {
    std::string path = (std::filesystem::temp_directory_path() / "kokuin-test-XXXXXX").string();
    Folder() { REQUIRE(mkdtemp(path.data())); }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
};

}  // namespace kokuin::testing
