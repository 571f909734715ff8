# The pruning job on an NVIDIA GPU: TensorFlow.js on CUDA where it installs, ONNX Runtime's WebGPU provider otherwise.
#   docker build -f deploy/container/gpu.Dockerfile -t concertina-gpu .
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev

FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04
ENV NODE_ENV=production
RUN apt-get update && apt-get install -y --no-install-recommends libvulkan1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/package.json package.json
ENTRYPOINT ["node", "dist/functions/prune.js"]
