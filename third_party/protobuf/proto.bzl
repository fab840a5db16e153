"""C++ messages and stubs by Debian's protoc."""

load("@rules_cc//cc:defs.bzl", "cc_library")

def cc_grpc_library(name, srcs, import_root):
    """One cc_library with the messages and gRPC stubs of some .proto files.

    Args:
      name: of the library.
      srcs: .proto files of this package; they may import each other.
      import_root: folder, from the workspace's root, that imports start from.
    """
    bases = [src[:-len(".proto")] for src in srcs]
    srcs_out = [base + suffix for base in bases for suffix in [".pb.cc", ".grpc.pb.cc"]]
    hdrs_out = [base + suffix for base in bases for suffix in [".pb.h", ".grpc.pb.h"]]
    native.genrule(
        name = name + "_gen",
        srcs = srcs,
        outs = srcs_out + hdrs_out,
        # The tools are named by path, not by label: the sandbox shows /usr, and
        # a label would copy them through @system.
        cmd = ("/usr/bin/protoc -I{root} --cpp_out=$(GENDIR)/{root} --grpc_out=$(GENDIR)/{root} " +
               "--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin $(SRCS)").format(root = import_root),
    )
    cc_library(
        name = name,
        srcs = srcs_out,
        hdrs = hdrs_out,
        copts = ["-w"],
        strip_include_prefix = "/" + import_root,
        deps = ["@system//:grpc"],
    )
