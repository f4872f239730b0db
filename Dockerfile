# DisControlFace on a CPU. Built by Buildah on a Debian 12 in the place of the official Python image (docs/install.md), never by Docker itself.
#
#   docker build -t discontrolface .
#   docker run --rm -v "$PWD:/work" discontrolface edit photo.jpg -o smile.png --expression smile=0.8
#   docker run --rm -p 127.0.0.1:7860:7860 discontrolface studio --host 0.0.0.0
#
# --build-arg PYTHON=3.12: another Python, 3.11 to 3.14. --build-arg EXTRAS=video: without the studio. --build-arg TORCH_INDEX=ADDRESS: the index of
# PyTorch's CPU builds (pytorch.org names it); without it an x86-64 image carries NVIDIA's libraries, some gigabytes that nothing here uses.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim AS build
WORKDIR /source
COPY . .
RUN python -m pip install --no-cache-dir --constraint constraints.txt build && python -m build --wheel --outdir /dist .

FROM python:${PYTHON}-slim
ARG EXTRAS=studio,video,c2pa
ARG TORCH_INDEX=
COPY --from=build /dist /dist
COPY constraints.txt /constraints.txt
RUN python -m pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --constraint /constraints.txt torch
RUN python -m pip install --no-cache-dir --constraint /constraints.txt "$(ls /dist/*.whl)[$EXTRAS]"
RUN useradd --create-home --uid 1000 face && mkdir /work && chown face /work
USER 1000
RUN discontrolface demo --output /tmp/demo && rm -r /tmp/demo
WORKDIR /work
EXPOSE 7860
ENTRYPOINT ["discontrolface"]
CMD ["--help"]
