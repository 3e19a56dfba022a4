# For people with Docker Desktop, Podman or Codespaces: docker build -t kubernetes-101 . (once; 20 to 30 minutes), then
#   docker run --rm -it --privileged -p 127.0.0.1:8888:8888 kubernetes-101   real nodes, on amd64 and arm64
#   docker run --rm -it -p 127.0.0.1:8888:8888 kubernetes-101                nodes in a guest, on amd64, without privileges
# Up to the user's name it is binder/Dockerfile; a test compares them.
FROM debian:12

# What scripts/setup, the guest and its kernel need; as root, because Binder's user has no privilege.
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    bc bison busybox-static ca-certificates curl e2fsprogs flex gcc git iproute2 libc6-dev libseccomp-dev make mount \
    nftables pkg-config procps python3 python3-venv util-linux xz-utils && rm -rf /var/lib/apt/lists/*

ARG NB_USER=jovyan
ARG NB_UID=1000
# Everything lies outside the home directory, over which a hub mounts its user's volume. All of it belongs to group 0,
# too: some hubs run a container as a user whom nobody knows, in that group.
ENV COURSE=/opt/kubernetes-101 K8S101_CACHE=/opt/k8s101-cache K8S101_STATE=/tmp/k8s101
ENV USER=${NB_USER} HOME=/home/${NB_USER} LANG=C.UTF-8 PATH=/opt/kubernetes-101/.venv/bin:${PATH}
RUN useradd --create-home --uid "${NB_UID}" --gid 0 "${NB_USER}" && chmod g=u "${HOME}" && \
    install -d -o "${NB_UID}" -g 0 -m 775 "${COURSE}" "${K8S101_CACHE}"
COPY --chown=${NB_UID}:0 . ${COURSE}
WORKDIR ${COURSE}
USER ${NB_UID}:0

RUN umask 002 && scripts/setup python3 .venv
# the programs of real nodes, too, also where there is no guest
RUN umask 002 && binder/postBuild && python -m k8s101.cluster.backends.kinds nodes && \
    rm -rf "${HOME}/go" "${HOME}/.cache"

# Real nodes need root, and a file system that can carry those of containers; scripts/container gives root up otherwise.
USER 0:0
VOLUME /var/lib/k8s101
EXPOSE 8888
ENTRYPOINT ["/opt/kubernetes-101/scripts/container"]
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", "--allow-root"]
