#include "store/tlog/tile_path.h"

#include <catch2/catch.hpp>

using namespace kokuin::tlog;

TEST_CASE("tiles have the paths of the specification, and each has one") {
    CHECK(TilePlace{0, 1234067, 256}.path() == "tile/0/x001/x234/067");
    CHECK(TilePlace{1, 0, 17}.path() == "tile/1/000.p/17");
    CHECK(TilePlace{63, 999, 255}.path() == "tile/63/999.p/255");
    CHECK(TilePlace{0, 1000, 256}.path() == "tile/0/x001/000");
    for (const TilePlace place : {TilePlace{0, 0, 256}, TilePlace{2, 1234067, 1}, TilePlace{63, 999, 255},
                                  TilePlace{0, UINT64_MAX, 256}}) {
        const auto path = place.path();
        const auto slash = path.find('/', 5);
        CHECK(TilePlace::parse(path.substr(5, slash - 5), path.substr(slash + 1)) == place);
    }
    for (const auto& [level, rest] : {std::pair{"", "000"},
                                      {"00", "000"},
                                      {"01", "000"},
                                      {"64", "000"},
                                      {"-1", "000"},
                                      {"0x", "000"},
                                      {"0", ""},
                                      {"0", "0"},
                                      {"0", "0000"},
                                      {"0", "x000/000"},
                                      {"0", "x001"},
                                      {"0", "001/000"},
                                      {"0", "x001/x000"},
                                      {"0", "x1/000"},
                                      {"0", "000.p"},
                                      {"0", "000.p/"},
                                      {"0", "000.p/0"},
                                      {"0", "000.p/01"},
                                      {"0", "000.p/256"},
                                      {"0", "000.p/1/2"},
                                      {"0", "000/"},
                                      {"0", "/000"},
                                      {"0", "x018/x446/x744/x073/x709/x551/616"},
                                      {"entries", "000"}}) {
        INFO(level << " " << rest);
        CHECK_FALSE(TilePlace::parse(level, rest));
    }
}

TEST_CASE("a tile is there once the tree has so many leaves") {
    CHECK(TilePlace{0, 0, 1}.leaves() == 1);
    CHECK(TilePlace{0, 2, 256}.leaves() == 768);
    CHECK(TilePlace{1, 0, 3}.leaves() == 768);
    CHECK(TilePlace{2, 1, 1}.leaves() == 257ULL << 16U);
    CHECK_FALSE(TilePlace{8, 0, 1}.leaves());
    CHECK_FALSE(TilePlace{7, 0, 128}.leaves());
    CHECK_FALSE(TilePlace{0, UINT64_MAX, 256}.leaves());
    CHECK_FALSE(TilePlace{0, UINT64_MAX / 256, 256}.leaves());
}
