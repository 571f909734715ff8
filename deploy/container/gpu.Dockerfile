# The pruning job on an NVIDIA GPU: TensorFlow.js on CUDA. Its libtensorflow 2.9 wants CUDA 11 and cuDNN 8.
#   docker build -f deploy/container/gpu.Dockerfile -t concertina-gpu .
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev
# npm installs nothing for an optional peer of the project itself unless it is saved. The package's script downloads libtensorflow with
# CUDA; npm 11 runs none that the project does not name, so it is run here, with node-pre-gyp on its path.
RUN npm install --save-prod --omit=dev --ignore-scripts @tensorflow/tfjs-node-gpu@4.22.0 \
  && cd node_modules/@tensorflow/tfjs-node-gpu && PATH=/app/node_modules/.bin:$PATH node scripts/install.js gpu download

FROM nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04
# glibc keeps freed weights otherwise: docs/operating.md, Memory.
ENV NODE_ENV=production MALLOC_MMAP_THRESHOLD_=1048576
COPY --from=build /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/package.json package.json
ENTRYPOINT ["node", "dist/functions/prune.js"]
