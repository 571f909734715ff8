#!/bin/sh
# Builds the native part of AWS's runtime client from the sources in its package; wants cmake, make and g++.
# Its own script asks node-gyp, which downloads Node's headers. The native part uses Node-API alone, whose headers are a package;
# three more that it includes and does not use are empty here.
set -e
cd "$(dirname "$0")"
[ -e node_modules/aws-lambda-ric/rapid-client.node ] && exit 0
for tool in cmake make g++; do command -v $tool >/dev/null || { echo "$tool is missing: apt-get install cmake make g++ xz-utils" >&2; exit 1; }; done
log=$(mktemp)
sh node_modules/aws-lambda-ric/scripts/preinstall.sh >"$log" 2>&1 || { tail -30 "$log" >&2; exit 1; }
unused=$(mktemp -d)
touch "$unused/uv.h" "$unused/v8.h" "$unused/node.h"
cd node_modules/aws-lambda-ric
artifacts=deps/artifacts
g++ -std=c++17 -O1 -fPIC -shared -w -DNAPI_VERSION=8 -DNODE_GYP_MODULE_NAME=rapid_client \
  -I "$unused" -I ../node-api-headers/include -I ../node-addon-api -I $artifacts/include src/native/rapid-client.cc \
  -o rapid-client.node $artifacts/lib/libaws-lambda-runtime.a $artifacts/lib/libcurl.a -pthread
rm -rf "$unused" "$log" deps/curl-src deps/aws-lambda-cpp-src $artifacts
