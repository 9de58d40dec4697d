// SPDX-License-Identifier: Apache-2.0
// deps: wglan_config
// A configuration document through reader and both spellings: any text gives a value or a message of
// one line.
#include <cstdlib>

#include "config/draft.h"
#include "config/yaml_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace wglan;
    const auto check = [](const Error& error) {
        const std::string message = error.message();
        if (message.empty() || message.find('\n') != std::string::npos) std::abort();
    };
    const auto documents = config::parse_documents(as_text({data, size}), "fuzz.yaml");
    if (!documents) {
        check(documents.error());
        return 0;
    }
    for (const auto& document : *documents) {
        if (document.kind != config::Value::Kind::map) continue;
        config::Draft draft;
        config::Reading reading;
        if (document.find("machine") != nullptr)
            config::read_talos(document, draft, reading);
        else
            config::read_native(&document, draft, reading);
        // Nothing of the file system: a token file named by the input stays unread.
        draft.token_file.clear();
        ConfigInput input;
        input.host_name = "fuzz";
        input.environment["WGLAN_CLUSTER_TOKEN"] = "9xQ2mT7vKp4cRz0LwN8yHbE3uJdGfS6aXoViWk1eYhM=";
        std::vector<std::string> files;
        config::finish_draft(draft, input, reading, files);
        if (reading.error) {
            check(*reading.error);
            continue;
        }
        if (draft.config.cluster.discovery_id.size() != 64 || !files.empty()) std::abort();
        if (!Config::differences(draft.config, draft.config).empty()) std::abort();
    }
    return 0;
}
