# avpipe with OpenPose and its Python binding, for NVIDIA GPUs.
#
#   docker build -f docker/openpose.Dockerfile --build-context models=DIR -t avpipe:openpose .
#   docker run --rm --gpus all -v "$PWD/data:/data" avpipe:openpose build solos --detector openpose
#
# State: written from OpenPose's installation guide and build files; it has not been built where
# avpipe is developed. What avpipe asks of the binding is tested against a stand-in with its names.
#
# DIR holds the weights, which are fetched by hand: their server has been down since 2023 (OpenPose's
# issue 1602 names copies by its authors), and their licence, like OpenPose's own, allows academic
# and non-commercial use only.
#   DIR/pose/body_25/pose_iter_584000.caffemodel
#   DIR/hand/pose_iter_102000.caffemodel
#   DIR/face/pose_iter_116000.caffemodel

FROM nvidia/cuda:11.8.0-cudnn8-devel-ubuntu22.04 AS openpose
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install --yes --no-install-recommends \
      build-essential ca-certificates cmake git python3.11 python3.11-dev python3.11-venv \
      libatlas-base-dev libboost-all-dev libgflags-dev libgoogle-glog-dev libhdf5-serial-dev \
      libleveldb-dev liblmdb-dev libopencv-dev libprotobuf-dev libsnappy-dev protobuf-compiler \
 && rm -rf /var/lib/apt/lists/*
ARG OPENPOSE=v1.7.0
# The pybind11 that OpenPose brings is older than Python 3.11 and than NumPy 2 (2.12 on knows both).
RUN git clone --recurse-submodules --branch "$OPENPOSE" \
      https://github.com/CMU-Perceptual-Computing-Lab/openpose /opt/openpose \
 && git -C /opt/openpose/3rdparty/pybind11 fetch --depth 1 https://github.com/pybind/pybind11 tag v2.13.6 \
 && git -C /opt/openpose/3rdparty/pybind11 checkout v2.13.6
# No GPU is visible while an image is built: the architectures are named (Volta to Hopper, and PTX
# for what came later). For a build without GPU: GPU_MODE=CPU_ONLY.
ARG GPU_MODE=CUDA
RUN cmake -S /opt/openpose -B /opt/openpose/build \
      -DBUILD_PYTHON=ON -DBUILD_EXAMPLES=OFF -DGPU_MODE="$GPU_MODE" \
      -DCUDA_ARCH=Manual -DCUDA_ARCH_BIN="70 75 80 86 89 90" -DCUDA_ARCH_PTX="90" \
      -DPYTHON_EXECUTABLE=/usr/bin/python3.11 \
      -DPYTHON_LIBRARY=/usr/lib/x86_64-linux-gnu/libpython3.11.so \
      -DDOWNLOAD_BODY_25_MODEL=OFF -DDOWNLOAD_BODY_COCO_MODEL=OFF -DDOWNLOAD_BODY_MPI_MODEL=OFF \
      -DDOWNLOAD_FACE_MODEL=OFF -DDOWNLOAD_HAND_MODEL=OFF \
 && make -C /opt/openpose/build -j"$(nproc)" install \
 && ldconfig \
 && mkdir -p /usr/local/share/openpose \
 && cp -r /opt/openpose/models /usr/local/share/openpose/
# OpenPose brings the prototxt files, DIR the weights beside them.
COPY --from=models . /usr/local/share/openpose/models/

FROM openpose
WORKDIR /opt/avpipe
COPY . .
RUN python3.11 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir .
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/usr/local/python/openpose \
    LD_LIBRARY_PATH=/usr/local/lib:/opt/openpose/build/caffe/lib:$LD_LIBRARY_PATH
WORKDIR /
ENTRYPOINT ["avpipe"]
