// SPDX-License-Identifier: Apache-2.0
// A folder for configuration files, and loading of documents given as text.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "config/config.h"

namespace wglan {

// 32 random bytes in base64: nothing to warn about.
inline constexpr char kToken[] = "9xQ2mT7vKp4cRz0LwN8yHbE3uJdGfS6aXoViWk1eYhM=";
inline constexpr char kKeyA[] = "GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU=";
inline constexpr char kKeyB[] = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";

class ConfigTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "wglan-config-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        dir_ = name;
        input_.environment["WGLAN_CLUSTER_TOKEN"] = kToken;
        input_.host_name = "host1";
    }
    void TearDown() override { std::filesystem::remove_all(dir_); }

    std::string put(const std::string& name, const std::string& content, mode_t mode = 0600) {
        const std::string path = (dir_ / name).string();
        std::ofstream(path) << content;
        EXPECT_EQ(::chmod(path.c_str(), mode), 0);
        return path;
    }
    // Loads the text as c.yaml, with these patches in order.
    Result<LoadedConfig> load(const std::string& text, const std::vector<std::string>& patches = {}) {
        input_.file = put("c.yaml", text);
        input_.patch_files.clear();
        for (std::size_t i = 0; i < patches.size(); ++i)
            input_.patch_files.push_back(put("p" + std::to_string(i + 1) + ".json", patches[i]));
        return load_config(input_);
    }
    Config good(const std::string& text, const std::vector<std::string>& patches = {}) {
        auto loaded = load(text, patches);
        EXPECT_TRUE(loaded) << text << '\n' << (loaded ? "" : loaded.error().message());
        return loaded ? std::move(loaded->config) : Config();
    }
    // The message without the folder: "c.yaml:3: key: ...".
    std::string error(const std::string& text, const std::vector<std::string>& patches = {}) {
        const auto loaded = load(text, patches);
        if (loaded) return "(no error)";
        kind_ = loaded.error().kind();
        std::string message = loaded.error().message();
        const std::string folder = dir_.string() + '/';
        for (auto at = message.find(folder); at != std::string::npos; at = message.find(folder))
            message.erase(at, folder.size());
        return message;
    }

    std::filesystem::path dir_;
    ConfigInput input_;
    ErrorKind kind_ = ErrorKind::internal;
};

}  // namespace wglan
