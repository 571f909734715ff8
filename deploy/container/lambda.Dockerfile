# One image for every Lambda function of serverless.yml; each function names its handler.
#   docker build -f deploy/container/lambda.Dockerfile -t concertina-lambda .
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev

FROM public.ecr.aws/lambda/nodejs:24
# glibc keeps freed weights otherwise: docs/operating.md, Memory.
ENV NODE_ENV=production MALLOC_MMAP_THRESHOLD_=1048576
COPY --from=build /app/node_modules ${LAMBDA_TASK_ROOT}/node_modules
COPY --from=build /app/dist ${LAMBDA_TASK_ROOT}/dist
COPY --from=build /app/deploy/tiers.yaml ${LAMBDA_TASK_ROOT}/deploy/tiers.yaml
COPY --from=build /app/package.json ${LAMBDA_TASK_ROOT}/package.json
CMD ["dist/functions/lambda/gateway.handler"]
