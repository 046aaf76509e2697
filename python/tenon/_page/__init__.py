"""A network as one page: its kernels as a graph, their times, its memory plan."""

from tenon._page.page import page_html

__all__ = ["page_html"]
